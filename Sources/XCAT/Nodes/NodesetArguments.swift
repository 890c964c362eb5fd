// `nodeset NODES osimage=NAME` copies an image's boot files to where nodes load them, and sets the
// nodes to boot them. People paste the command into a shell, and imgstore runs it without one.
//
// 1. Names of nodes and groups are plain words. An image name that xCAT's options would split is
//    refused; one that a shell would split is quoted.

import Platform

/// The arguments of a call of xCAT's nodeset.
public struct NodesetArguments: Sendable, Equatable {
  /// The nodes, as a node range.
  public let range: String
  public let image: String

  /// Creates a call.
  /// - Throws: `XCATError` for a name that xCAT's commands cannot carry.
  public init(range: String, image: String) throws(XCATError) {
    try XCATCommandRunner.check(name: image)
    guard !range.isEmpty,
      range.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
        .allSatisfy({ NodesetArguments.isPlain(String(decoding: $0, as: UTF8.self)) })
    else {
      throw XCATError(
        "node range '\(printable(range.utf8.prefix(255)))'", "does not consist of plain names",
        hint: "Run nodeset by hand")
    }
    self.range = range
    self.image = image
  }

  /// The arguments of nodeset.
  public var arguments: [String] { [range, "osimage=\(image)"] }

  /// The command for a shell.
  public var text: String {
    let isWord = image.utf8.allSatisfy {
      NodesetArguments.isWordByte($0) || "+:%".utf8.contains($0)
    }
    return "nodeset \(range) " + (isWord ? "osimage=\(image)" : "'osimage=\(image)'")
  }

  /// Splits the command if the range is too long for one argument of a program (128 KiB).
  public func parts() throws(XCATError) -> [NodesetArguments] {
    let limit = 100_000
    var ranges: [String] = []
    for node in range.split(separator: ",") {
      if let last = ranges.last, last.utf8.count + node.utf8.count < limit {
        ranges[ranges.count - 1] = last + "," + node
      } else {
        ranges.append(String(node))
      }
    }
    var parts: [NodesetArguments] = []
    for range in ranges { parts.append(try NodesetArguments(range: range, image: image)) }
    return parts
  }

  /// Returns whether a name is a plain word, which neither a shell nor xCAT interprets.
  public static func isPlain(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.first != UInt8(ascii: "-")
      && name.utf8.allSatisfy(isWordByte)
  }

  private static func isWordByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
    default: "-._".utf8.contains(byte)
    }
  }
}

/// Runs nodeset.
public struct NodesetRunner: Sendable {
  private let commands: XCATCommandRunner

  /// Creates a runner.
  /// - Parameter environment: XCATROOT and PATH locate the command.
  public init(_ fileSystem: any FileSystem, environment: [String: String]) {
    commands = XCATCommandRunner(fileSystem, environment: environment)
  }

  /// Checks that nodeset exists.
  /// - Throws: `XCATError` if it does not.
  public func requirePresent() throws { _ = try commands.path(of: "nodeset") }

  /// Runs a call.
  /// - Throws: `XCATError` with the command's message if it fails.
  public func run(_ command: NodesetArguments) throws {
    try commands.mustRun("nodeset", command.arguments)
  }
}
