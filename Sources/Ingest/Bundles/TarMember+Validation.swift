// The rules for members of a bundle: their kinds, their names and the targets of links. A member that
// violates a rule causes rejection of the whole bundle. Imports and exports use the same rules.

import Archive
import Platform

/// Validates the members of one bundle in order.
public struct BundleRules {
  static let maxMembers = 100_000
  static let maxNameBytes = 16 << 20

  private var members = 0
  private var nameBytes = 0

  /// Creates a validator for one bundle.
  public init() {}

  /// Checks the next member.
  /// - Returns: the components of its name; nil for the top directory.
  /// - Throws: `BundleError` for a violated rule.
  public mutating func take(_ member: TarMember) throws(BundleError) -> [String]? {
    members += 1
    guard members <= BundleRules.maxMembers else {
      throw BundleError(whole: "has more than \(BundleRules.maxMembers) members")
    }
    nameBytes += member.path.count
    if case .symlink(let target) = member.kind { nameBytes += target.count }
    guard nameBytes <= BundleRules.maxNameBytes else {
      throw BundleError(whole: "has names of more than \(BundleRules.maxNameBytes) bytes")
    }
    let parts = try member.validatedComponents(of: member.path)
    guard !parts.isEmpty else {
      guard member.kind == .directory else {
        throw BundleError("member '\(printable(member.path))'", "is a file without a name")
      }
      return nil
    }
    switch member.kind {
    case .file, .directory: break
    case .symlink(let target):
      try member.requireSideDirectory(parts)
      try member.checkLink(to: target, parts)
    case .hardLink: try member.requireSideDirectory(parts)
    case .characterDevice, .blockDevice, .fifo:
      throw BundleError(
        member.object, "is a device or a fifo, which bundles must not contain",
        hint: BundleError.distrust)
    }
    return parts
  }

  /// Returns the error for a name that two members have.
  static func duplicate(_ name: String) -> BundleError {
    BundleError(
      "member \(name)", "occurs twice in the bundle, or both as a file and as a directory",
      hint: BundleError.distrust)
  }
}

/// Returns a member's name for a message, shortened because the name is untrusted.
func memberDescription(_ path: [UInt8]) -> String {
  path.count <= 255 ? "member \(printable(path))" : "member \(printable(path.prefix(255)))…"
}

extension TarMember {
  /// The member's name for a message.
  var object: String { memberDescription(path) }

  /// Returns the components of a name after checking them.
  func validatedComponents(of path: [UInt8]) throws(BundleError) -> [String] {
    guard path.first != 0x2f else {
      throw BundleError(object, "has an absolute name", hint: BundleError.distrust)
    }
    var parts: [String] = []
    for part in path.split(separator: 0x2f) where Array(part) != [0x2e] {
      guard Array(part) != [0x2e, 0x2e] else {
        throw BundleError(object, "leads out of the bundle", hint: BundleError.distrust)
      }
      guard part.count <= 255 else {
        throw BundleError(object, "has a name of more than 255 bytes, which no file can have")
      }
      guard let text = String(validating: part, as: UTF8.self) else {
        throw BundleError(object, "has a name that is not UTF-8")
      }
      guard !text.holdsControlCharacters else {
        throw BundleError(
          object, "has a control character in its name", hint: BundleError.distrust)
      }
      // Also check after a "/": a combining mark there would join the two to one character.
      guard !"/\(text)".hidesSeparators else {
        throw BundleError(
          object, "has a combining mark in its name without a preceding letter",
          hint: BundleError.distrust)
      }
      parts.append(text)
    }
    guard parts.count <= 64 else { throw BundleError(object, "is nested too deeply") }
    return parts
  }

  /// Checks that a link is in a directory of extras or kits, never next to kernel and manifest.
  func requireSideDirectory(_ parts: [String]) throws(BundleError) {
    guard parts.count >= 3 else {
      throw BundleError(
        object, "is a link where bundles must have files", hint: BundleError.distrust)
    }
  }

  /// Checks a link's target. It must go up and then down, and not above the directory of extras or kits. No
  /// member is below a link, so such a link cannot lead outside, whatever other links it passes through.
  func checkLink(to target: [UInt8], _ parts: [String]) throws(BundleError) {
    let side = parts[1] == "extra" ? 3 : 2
    guard let text = String(validating: target, as: UTF8.self) else {
      throw BundleError(object, "is a link to a name that is not UTF-8")
    }
    guard !text.holdsControlCharacters else {
      throw BundleError(
        object, "is a link with a control character in its target",
        hint: BundleError.distrust)
    }
    var depth = parts.count - 1 - side
    var isGoingUp = true
    var isInside = target.first != 0x2f && !target.isEmpty
    for part in target.split(separator: 0x2f) where Array(part) != [0x2e] {
      if Array(part) == [0x2e, 0x2e] {
        depth -= 1
        if !isGoingUp || depth < 0 { isInside = false }
      } else {
        isGoingUp = false
      }
    }
    guard isInside else {
      throw BundleError(
        object,
        "is a link that may lead out of its directory, to \(printable(target.prefix(255)))",
        hint: BundleError.distrust)
    }
  }
}
