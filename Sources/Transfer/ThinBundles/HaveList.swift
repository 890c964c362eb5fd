// What a receiver has of an image, for the author of a thin bundle (docs/format.md, "Have lists").
//
//     imgstore have 1
//     image NAME
//     snapshot NUMBER ID SECONDS        each snapshot, ascending
//     objects COUNT                     of the last one
//     COUNT × (byte kind, 32 bytes id), then 32 bytes SHA-256 of everything before
//
// The list reveals ids only, and is not trusted: a wrong list leads to a bundle that the receiver refuses.

import Codec
import Platform
import Store

/// The snapshots of an image at a receiver, and the objects of the latest one.
public struct HaveList: Sendable {
  public let image: ImageName
  public let snapshots: [NamedSnapshot]
  /// The objects that the last snapshot needs.
  public let objects: Set<ObjectName>

  public init(image: ImageName, snapshots: [NamedSnapshot], objects: Set<ObjectName>) {
    self.image = image
    self.snapshots = snapshots
    self.objects = objects
  }

  private static let title = "imgstore have 1"
  /// The largest file: 30 million objects.
  public static let maxBytes = 1 << 30

  /// Returns the list of a store's image.
  /// - Throws: `StoreError` if the latest snapshot cannot be read whole.
  public init(_ image: ImageName, in store: ObjectStore) throws {
    var snapshots: [NamedSnapshot] = []
    var latest: Snapshot?
    for number in try store.refs.numbers(of: image) {
      guard let found = try store.refs.readIfPresent(image, number) else { continue }
      snapshots.append(
        NamedSnapshot(number: number, id: found.id, created: found.snapshot.created))
      latest = found.snapshot
    }
    self.init(
      image: image, snapshots: snapshots,
      objects: try latest.map { try HaveList.objects(of: $0, in: store) } ?? [])
  }

  /// Returns the objects that a snapshot of a store needs.
  /// - Throws: `StoreError` if the snapshot cannot be read whole.
  public static func objects(
    of snapshot: Snapshot, in store: ObjectStore
  ) throws -> Set<ObjectName> {
    var objects: Set<ObjectName> = []
    let source = LocalSource(store, name: "the store")
    let needs = try SnapshotWalk.needs(of: snapshot) { try source.directories($0) }
    objects.formUnion(needs.objects)
    var blobs = needs.blobs
    while !blobs.isEmpty {
      var parts: [Digest] = []
      for (blob, content) in zip(blobs, try store.contents(of: blobs)) {
        switch content {
        case nil: break
        case .chunk: objects.insert(ObjectName(kind: .chunk, id: blob))
        case .recipe(let references):
          guard objects.insert(ObjectName(kind: .recipe, id: blob)).inserted else { continue }
          for chunk in references.chunks { objects.insert(ObjectName(kind: .chunk, id: chunk)) }
          parts += references.blobs.filter { $0.sizeBytes > 0 }.map(\.id)
        }
      }
      blobs = parts
    }
    return objects
  }

  /// Returns the bytes of the file.
  public func encode() -> [UInt8] {
    var writer = ByteWriter()
    var text = "\(HaveList.title)\nimage \(image)\n"
    for snapshot in snapshots {
      text += "snapshot \(snapshot.number) \(snapshot.id) \(snapshot.created.seconds)\n"
    }
    text += "objects \(objects.count)\n"
    writer.reserve(text.utf8.count + objects.count * 33 + 32)
    writer.raw(text.utf8)
    for object in objects.sorted(by: { ($0.kind.rawValue, $0.id) < ($1.kind.rawValue, $1.id) }) {
      writer.byte(object.kind.rawValue)
      writer.digest(object.id)
    }
    writer.digest(SHA256.digest(of: writer.bytes))
    return writer.bytes
  }

  /// Reads the bytes of a file.
  /// - Parameter name: the file for messages.
  /// - Throws: `TransferError` (`bundleInvalid`, `unsupported`).
  public init(decoding bytes: [UInt8], name: String) throws {
    func invalid(_ reason: String) -> TransferError {
      TransferError(
        .bundleInvalid, name, reason,
        hint: "Write it again with 'imgstore have IMAGE > FILE' on the receiving machine")
    }
    guard bytes.starts(with: Array("imgstore have ".utf8)) else {
      throw invalid("is not a list of 'imgstore have'")
    }
    guard bytes.starts(with: Array((HaveList.title + "\n").utf8)) else {
      throw TransferError(
        .unsupported, name, "is a list of another version",
        hint: "Use the same imgstore on both sides")
    }
    guard bytes.count > 32, bytes.count <= HaveList.maxBytes,
      Digest(Array(bytes.suffix(32))) == SHA256.digest(of: Array(bytes.dropLast(32)))
    else { throw invalid("is damaged or incomplete") }
    var image: ImageName?
    var snapshots: [NamedSnapshot] = []
    var rest = bytes.dropLast(32)[...]
    while let end = rest.firstIndex(of: 0x0a) {
      let line = String(decoding: rest[..<end], as: UTF8.self)
      rest = rest[(end + 1)...]
      let words = line.split(separator: " ", maxSplits: 1).map(String.init)
      switch words.first {
      case "imgstore": continue
      case "image": image = try ImageName(words.count == 2 ? words[1] : "")
      case "snapshot":
        let parts = words.count == 2 ? words[1].split(separator: " ") : []
        guard parts.count == 3, let number = Int(parts[0]), number > 0,
          let id = Digest(hex: parts[1]), let seconds = Int64(parts[2])
        else { throw invalid("has an invalid snapshot") }
        snapshots.append(
          NamedSnapshot(
            number: number, id: id, created: Timestamp(seconds: seconds, nanoseconds: 0)))
      case "objects":
        guard let image, words.count == 2, let count = Int(words[1]), count >= 0,
          count <= rest.count / 33, rest.count == count * 33
        else { throw invalid("has another number of objects than it says") }
        self.init(
          image: image, snapshots: snapshots,
          objects: try HaveList.objects(Array(rest), count, invalid("has an invalid object")))
        return
      default: throw invalid("has an unknown line")
      }
    }
    throw invalid("is incomplete")
  }

  private static func objects(
    _ bytes: [UInt8], _ count: Int, _ error: TransferError
  ) throws(TransferError) -> Set<ObjectName> {
    var objects = Set<ObjectName>(minimumCapacity: count)
    for index in 0..<count {
      let start = index * 33
      guard let kind = ObjectKind(rawValue: bytes[start]),
        let id = Digest(Array(bytes[start + 1..<start + 33]))
      else { throw error }
      objects.insert(ObjectName(kind: kind, id: id))
    }
    return objects
  }
}
