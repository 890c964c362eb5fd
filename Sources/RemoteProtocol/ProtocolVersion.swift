// The first line that each side sends: which versions of the protocol it speaks, and which program it is.
//
//     imgstore-remote MIN-MAX PROGRAM\n
//
// 1. It is text, so that two versions that do not understand each other can say so, and so that the output of a
//    login shell is recognised as what it is.
// 2. The form of the line never changes.

import Codec
import Platform
import Transfer

/// The greeting of one side.
public struct Greeting: Sendable, Equatable {
  static let magic = "imgstore-remote"
  /// The longest line.
  public static let maxBytes = 200

  /// The oldest and the newest version of the protocol that the side speaks.
  public let versions: ClosedRange<Int>
  /// The name and version of the program, such as "imgstore 0.3.0".
  public let program: String

  /// The versions that this program speaks. A message of a new kind needs a new version, or a feature
  /// (`Features`).
  public static let ownVersions = 1...1

  /// Creates a greeting.
  public init(versions: ClosedRange<Int> = Greeting.ownVersions, program: String) {
    self.versions = versions
    self.program = program
  }

  /// The line with its line break.
  public var line: [UInt8] {
    Array("\(Greeting.magic) \(versions.lowerBound)-\(versions.upperBound) \(program)\n".utf8)
  }

  /// Parses a line without its line break; nil for other text.
  public init?(_ line: some Collection<UInt8>) {
    guard line.count < Greeting.maxBytes, let text = String(validating: line, as: UTF8.self) else {
      return nil
    }
    let words = text.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
    guard words.count == 3, words[0] == Greeting.magic else { return nil }
    let bounds = words[1].split(separator: "-", omittingEmptySubsequences: false)
    guard bounds.count == 2, let low = Greeting.number(bounds[0]),
      let high = Greeting.number(bounds[1]), low <= high
    else { return nil }
    self.init(versions: low...high, program: printable(Array(words[2].utf8)))
  }

  private static func number(_ text: Substring) -> Int? {
    guard text.utf8.count <= 5, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
      return nil
    }
    return Int(text)
  }

  /// Returns the newest version that both sides speak.
  /// - Parameters:
  ///   - other: the greeting of the other side.
  ///   - peer: the other side for messages.
  /// - Throws: `remoteUnsuitable`, with both versions and the program to update.
  public func version(sharedWith other: Greeting, at peer: String) throws(TransferError) -> Int {
    let newest = min(versions.upperBound, other.versions.upperBound)
    if newest >= max(versions.lowerBound, other.versions.lowerBound) { return newest }
    let isOtherOlder = other.versions.upperBound < versions.lowerBound
    throw TransferError(
      .remoteUnsuitable, peer,
      "has \(other.program), which speaks the protocol \(text(other.versions)); "
        + "\(program) here speaks \(text(versions))",
      hint: isOtherOlder ? "Update imgstore there" : "Update imgstore on this machine")
  }

  private func text(_ versions: ClosedRange<Int>) -> String {
    versions.count == 1
      ? "\(versions.lowerBound)" : "\(versions.lowerBound) to \(versions.upperBound)"
  }
}
