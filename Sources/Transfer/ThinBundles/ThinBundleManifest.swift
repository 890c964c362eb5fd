// The description in a thin bundle (docs/format.md, "Thin bundles"): which snapshot it carries, and which ones the
// receiver must have.

import Codec
import Platform
import Store

/// A snapshot that a thin bundle names.
public struct NamedSnapshot: Sendable, Equatable {
  public let number: Int
  public let id: Digest
  /// When it was taken.
  public let created: Timestamp

  public init(number: Int, id: Digest, created: Timestamp) {
    self.number = number
    self.id = id
    self.created = created
  }
}

/// The description of a thin bundle.
public struct ThinBundleManifest: Sendable, Equatable {
  public let image: ImageName
  /// The snapshot that the bundle carries, with its number at the sender.
  public let snapshot: NamedSnapshot
  /// Snapshots of the same image whose data the bundle omits. The receiver needs all of them.
  public let bases: [NamedSnapshot]
  /// The host that wrote the bundle.
  public let host: String

  public init(image: ImageName, snapshot: NamedSnapshot, bases: [NamedSnapshot], host: String) {
    self.image = image
    self.snapshot = snapshot
    self.bases = bases
    self.host = host
  }

  /// Version 2 may have frames with bases, also frames of differences.
  private static let titles = ["imgstore thin bundle 1", "imgstore thin bundle 2"]
  static let maxBytes = 64 << 10
  private static let maxBases = 64

  /// Returns the text of the member `manifest`.
  /// - Parameter mayHaveBases: whether frames of the bundle may have bases, so that older programs refuse it.
  func encode(mayHaveBases: Bool) -> [UInt8] {
    func line(_ key: String, _ snapshot: NamedSnapshot) -> String {
      "\(key) \(snapshot.number) \(snapshot.id) \(snapshot.created.seconds)\n"
    }
    return Array(
      ("\(ThinBundleManifest.titles[mayHaveBases ? 1 : 0])\nimage \(image)\nhost \(printable(host.utf8))\n"
        + line("snapshot", snapshot) + bases.map { line("base", $0) }.joined()).utf8)
  }

  /// Decodes the text of the member `manifest`.
  /// - Throws: `TransferError` (`bundleInvalid`).
  init(decoding bytes: [UInt8], of name: String) throws {
    func invalid(_ reason: String) -> TransferError {
      TransferError(.bundleInvalid, name, reason, hint: "Copy the file again")
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw invalid("has a description that is not text")
    }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard let title = lines.first, ThinBundleManifest.titles.contains(String(title)) else {
      throw TransferError(
        .unsupported, name, "is a thin bundle of another version",
        hint: "Use the imgstore that wrote it, or a newer one")
    }
    var image: ImageName?
    var host = ""
    var snapshot: NamedSnapshot?
    var bases: [NamedSnapshot] = []
    for line in lines.dropFirst() where !line.isEmpty {
      let words = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
      let value = words.count == 2 ? String(words[1]) : ""
      switch words[0] {
      case "image": image = try ImageName(value)
      case "host": host = String(value.prefix(255))
      case "snapshot", "base":
        guard let named = ThinBundleManifest.snapshot(value) else {
          throw invalid("has a description with an invalid snapshot")
        }
        if words[0] == "snapshot" { snapshot = named } else { bases.append(named) }
      default: throw invalid("has a description with an unknown line")
      }
    }
    guard let image, let snapshot, bases.count <= ThinBundleManifest.maxBases else {
      throw invalid("has an incomplete description")
    }
    self.init(image: image, snapshot: snapshot, bases: bases, host: host)
  }

  private static func snapshot(_ text: String) -> NamedSnapshot? {
    let words = text.split(separator: " ", omittingEmptySubsequences: false)
    guard words.count == 3, let number = Int(words[0]), number > 0, let id = Digest(hex: words[1]),
      let seconds = Int64(words[2])
    else { return nil }
    return NamedSnapshot(
      number: number, id: id, created: Timestamp(seconds: seconds, nanoseconds: 0))
  }

  /// Returns the text of the member `README`, for people who find the file.
  func readme() -> [UInt8] {
    let needs =
      bases.isEmpty
      ? "It is complete: the receiver needs no other snapshot."
      : "It holds only what is missing there, so the receiver must have:\n"
        + bases.map { "  \(image)@\($0.number)  \($0.id)\n" }.joined()
    return Array(
      """
      This is a thin bundle of imgstore. It carries one snapshot of a node image:

        \(image)@\(snapshot.number)  \(snapshot.id)  of \(printable(host.utf8))

      \(needs)
      'imgstore import FILE' adds the snapshot to the history of the image there.

      """.utf8)
  }
}
