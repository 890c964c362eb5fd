// What a member of a bundle may be, what it may be called, and where a link in it may lead. A member that
// breaks a rule refuses the whole bundle. Imports read by these rules, and exports write by them.

import Archive
import Platform

/// The rules, over the members of one bundle in turn.
public struct BundleRules {
  static let maxMembers = 100_000
  static let maxNameBytes = 16 << 20

  private var members = 0
  private var nameBytes = 0

  public init() {}

  /// Checks the next member.
  /// - Returns: the parts of its name; nil for the folder that all of it lies in.
  /// - Throws: `BundleError` for the rule that it breaks.
  public mutating func take(_ member: TarMember) throws(BundleError) -> [String]? {
    members += 1
    guard members <= BundleRules.maxMembers else {
      throw BundleError("the bundle", "has more than \(BundleRules.maxMembers) members")
    }
    nameBytes += member.path.count
    if case .symlink(let target) = member.kind { nameBytes += target.count }
    guard nameBytes <= BundleRules.maxNameBytes else {
      throw BundleError("the bundle", "has names of more than \(BundleRules.maxNameBytes) bytes")
    }
    let parts = try member.cleanParts(of: member.path)
    guard !parts.isEmpty else {
      guard member.kind == .directory else {
        throw BundleError("member '\(printable(member.path))'", "is a file that has no name")
      }
      return nil
    }
    switch member.kind {
    case .file, .directory: break
    case .symlink(let target):
      try member.requireSideFolder(parts)
      try member.checkLink(to: target, parts)
    case .hardLink: try member.requireSideFolder(parts)
    case .characterDevice, .blockDevice, .fifo:
      throw BundleError(
        member.object, "is a device or a fifo, which no bundle holds",
        advice: BundleError.distrust)
    }
    return parts
  }

  /// The error for a name that two members have.
  static func twice(_ name: String) -> BundleError {
    BundleError(
      "member \(name)", "stands twice in the bundle, or as a file and as a folder",
      advice: BundleError.distrust)
  }
}

/// A member for a message, which a stranger's name must not flood.
func shown(_ path: [UInt8]) -> String {
  path.count <= 255 ? "member \(printable(path))" : "member \(printable(path.prefix(255)))…"
}

extension TarMember {
  /// The member, for a message.
  var object: String { shown(path) }

  /// The components of a name, checked.
  func cleanParts(of path: [UInt8]) throws(BundleError) -> [String] {
    guard path.first != 0x2f else {
      throw BundleError(object, "has an absolute name", advice: BundleError.distrust)
    }
    var parts: [String] = []
    for part in path.split(separator: 0x2f) where Array(part) != [0x2e] {
      guard Array(part) != [0x2e, 0x2e] else {
        throw BundleError(object, "leads out of the bundle", advice: BundleError.distrust)
      }
      guard part.count <= 255 else {
        throw BundleError(object, "has a name of more than 255 bytes, which no file can have")
      }
      guard let text = String(validating: part, as: UTF8.self) else {
        throw BundleError(object, "has a name that is not UTF-8")
      }
      guard !text.holdsControlCharacters else {
        throw BundleError(
          object, "has a control character in its name", advice: BundleError.distrust)
      }
      // Behind its "/", too: a mark there would join the two to one character.
      guard !"/\(text)".hidesSeparators else {
        throw BundleError(
          object, "has a combining mark in its name where no letter is before it",
          advice: BundleError.distrust)
      }
      parts.append(text)
    }
    guard parts.count <= 64 else { throw BundleError(object, "lies too deep") }
    return parts
  }

  /// Links may lie in the folders of extras and kits, never beside kernel and manifest.
  func requireSideFolder(_ parts: [String]) throws(BundleError) {
    guard parts.count >= 3 else {
      throw BundleError(
        object, "is a link where a bundle has files", advice: BundleError.distrust)
    }
  }

  /// A target that goes up and then down, and up no further than the side folder: as no member lies
  /// below a link, such a link cannot lead out, whatever other links it passes through.
  func checkLink(to target: [UInt8], _ parts: [String]) throws(BundleError) {
    let side = parts[1] == "extra" ? 3 : 2
    guard let text = String(validating: target, as: UTF8.self) else {
      throw BundleError(object, "is a link to a name that is not UTF-8")
    }
    guard !text.holdsControlCharacters else {
      throw BundleError(
        object, "is a link with a control character in its target",
        advice: BundleError.distrust)
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
        "is a link that may lead out of its folder, to \(printable(target.prefix(255)))",
        advice: BundleError.distrust)
    }
  }
}
