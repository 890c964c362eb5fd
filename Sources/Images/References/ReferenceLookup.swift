// Finds the snapshot or the entry that a reference names.

import Codec
import Platform
import Store

extension Workspace {
  /// Returns the snapshot that a reference names.
  /// - Throws: `ImageError`: `snapshotNotFound` if there is none, `invalidReference` if the reference names
  ///   the live image or lacks an image, `usage` if it is the start of several ids.
  public func find(_ reference: Reference) throws -> CommittedSnapshot {
    try SnapshotResolver(context).find(reference, remotes: .readInPlace)
  }

  /// Returns an entry of a snapshot. Symbolic links below a component are not followed.
  /// - Parameter path: an absolute path of the management node, or a path inside the root tree.
  /// - Throws: `ImageError` (`usage`) for an invalid escape, and (`pathNotFound`) if the snapshot does not
  ///   have the path.
  public func findEntry(_ path: String, in snapshot: CommittedSnapshot) throws -> LocatedEntry {
    try SnapshotResolver(context).findEntry(path, in: snapshot)
  }
}

/// Resolves references to snapshots and entries.
struct SnapshotResolver: Collaborator {
  let context: Context

  /// What a command does with a snapshot of a remote.
  enum RemotePolicy {
    /// The command needs the snapshot in this store.
    case refuse
    case readInPlace
  }

  func find(
    _ reference: Reference, remotes: RemotePolicy = .refuse
  ) throws -> CommittedSnapshot {
    if let name = try RemoteReader(context).remoteName(of: reference.image) {
      guard remotes == .readInPlace else {
        throw ImageError(
          .usage, "'\(reference.image)'",
          "is at a remote, and this command needs the snapshot in the store",
          hint: "Fetch it first: imgstore pull \(name) \(reference.image.dropFirst(name.count + 1))"
        )
      }
      return try RemoteReader(context).find(reference, at: name)
    }
    let refs = try context.store().refs
    if reference.image.isEmpty {
      let images = try refs.images()
      guard images.count == 1, let only = images.first else {
        throw ImageError(
          .invalidReference, "reference",
          "does not name an image, and the store has \(images.count)",
          hint: "Write the image's name before the '@'")
      }
      return try find(only, reference.selector, among: try refs.numbers(of: only), refs)
    }
    if let image = try? ImageName(reference.image) {
      // A snapshot with a number is read by its path. A long history is not listed for it.
      if let number = reference.number,
        let found = try refs.readIfPresent(image, number)
      {
        return found
      }
      let numbers = try refs.numbers(of: image)
      if !numbers.isEmpty {
        return try find(image, reference.selector, among: numbers, refs)
      }
    }
    if reference.selector == .latest, let found = try find(idPrefix: reference.image, refs) {
      return found
    }
    let image = try ImageResolver(context).image(named: reference.image)
    let numbers = try refs.numbers(of: image)
    guard !numbers.isEmpty else { throw noSnapshot(of: image, "yet") }
    return try find(image, reference.selector, among: numbers, refs)
  }

  /// Returns the latest snapshot of an image, for commands whose argument is an image.
  func findLatest(_ name: String) throws -> CommittedSnapshot {
    let (image, _) = try findHistory(name)
    return try find(Reference(image.text))
  }

  /// Returns an image and the numbers of its snapshots, newest first.
  func findHistory(_ name: String) throws -> (image: ImageName, numbers: [Int]) {
    let refs = try context.store().refs
    if name.contains("@") == false, let found = try? ImageName(name) {
      let numbers = try refs.numbers(of: found)
      if !numbers.isEmpty { return (found, numbers.reversed()) }
      // The id of a snapshot names its image.
      if let snapshot = try find(idPrefix: name, refs) {
        let image = try ImageName(snapshot.snapshot.image)
        return (image, try refs.numbers(of: image).reversed())
      }
    }
    let image = try ImageResolver(context).image(named: name)
    let numbers = try refs.numbers(of: image)
    if numbers.isEmpty { throw noSnapshot(of: image, "yet") }
    return (image, numbers.reversed())
  }

  private func find(
    _ image: ImageName, _ selector: Reference.Selector, among numbers: [Int], _ refs: RefLog
  ) throws -> CommittedSnapshot {
    func missing(_ what: String) -> ImageError { noSnapshot(of: image, what) }
    switch selector {
    case .latest:
      guard let last = numbers.last else { throw missing("at all") }
      return try refs.read(image, last)
    case .number(let number):
      guard numbers.contains(number) else { throw missing("@\(number)") }
      return try refs.read(image, number)
    case .numberOrID(let text):
      if let number = Int(text), "\(number)" == text, numbers.contains(number) {
        return try refs.read(image, number)
      }
      if let found = try find(idPrefix: text, of: [image], refs) { return found }
      throw missing("@\(text)")
    case .back(let count):
      guard count < numbers.count else { throw missing("@~\(count)") }
      return try refs.read(image, numbers[numbers.count - 1 - count])
    case .tag(let tag):
      try refs.requireIntactTag(tag, of: image)
      if let number = try refs.tags(of: image)[tag] { return try refs.read(image, number) }
      if let found = try find(idPrefix: tag, of: [image], refs) { return found }
      // An older store may have a tag with one of these names.
      if ["latest", "head"].contains(tag.lowercased()), let last = numbers.last {
        return try refs.read(image, last)
      }
      throw try unknownTag(tag, of: image, refs)
    case .idPrefix(let text):
      if let found = try find(idPrefix: text, of: [image], refs) { return found }
      throw missing("@\(text)")
    case .live:
      throw ImageError(
        .invalidReference, "reference '\(image)@live'",
        "names the live image, but the command takes a snapshot",
        hint: "'imgstore snapshot \(image)' takes one; 'imgstore diff' compares with @live")
    case .asOf(let time):
      // Numbers grow with time, so the search for the first old enough snapshot starts at the end.
      for number in numbers.reversed() {
        guard let found = try refs.readIfPresent(image, number) else { continue }
        if found.snapshot.created.seconds <= time { return found }
      }
      throw missing("as old as that")
    }
  }

  /// Returns the error for a tag that an image does not have, with tags of similar spelling.
  private func unknownTag(
    _ tag: String, of image: ImageName, _ refs: RefLog
  ) throws -> ImageError {
    let near = try refs.tags(of: image).keys.filter { Spelling.isNear(tag, $0) }
      .sorted { (Spelling.distance(tag, $0), $0) < (Spelling.distance(tag, $1), $1) }
    if !near.isEmpty {
      return ImageError(
        .snapshotNotFound, "image \(image)", "has no snapshot @\(tag)",
        hint: "Did you mean \(ImageLookup.list(near.map { "\(image)@\($0)" }))?")
    }
    let digits = tag.utf8.allSatisfy { hexValue($0) != nil }
    return ImageError(
      .snapshotNotFound, "image \(image)", "has no snapshot @\(tag)",
      hint: (digits && tag.utf8.count < 6 ? "An id needs six or more digits. " : "")
        + "'imgstore log \(image)' lists its snapshots")
  }

  func noSnapshot(of image: ImageName, _ what: String) -> ImageError {
    ImageError(
      .snapshotNotFound, "image \(image)", "has no snapshot \(what)",
      hint: (try? context.store().refs.numbers(of: image).isEmpty) == false
        ? "'imgstore log \(image)' lists its snapshots"
        : "'imgstore snapshot \(image)' takes the first one")
  }

  /// Returns the snapshot whose id begins with a text; nil if there is none, or if the text is too short.
  private func find(idPrefix text: String, _ refs: RefLog) throws -> CommittedSnapshot? {
    guard Reference.isIDPrefix(text) else { return nil }
    return try find(idPrefix: text, of: refs.images(), refs)
  }

  /// Returns the snapshot whose id begins with a text; nil if the text is the name of an image.
  func find(idOrName text: String) throws -> CommittedSnapshot? {
    guard Reference.isIDPrefix(text) else { return nil }
    let refs = try context.store().refs
    if let image = try? ImageName(text), try !refs.numbers(of: image).isEmpty { return nil }
    return try find(idPrefix: text, refs)
  }

  private func find(
    idPrefix text: String, of images: [ImageName], _ refs: RefLog
  ) throws -> CommittedSnapshot? {
    guard Reference.isIDPrefix(text) else { return nil }
    let prefix = text.lowercased()
    var found: [CommittedSnapshot] = []
    for image in images {
      for number in try refs.numbers(of: image) {
        guard let candidate = try refs.readIfPresent(image, number) else { continue }
        if candidate.id.hex.hasPrefix(prefix) { found.append(candidate) }
      }
    }
    guard found.count <= 1 || Set(found.map(\.id)).count == 1 else {
      throw ImageError(
        .usage, "snapshot \(text)", "is the start of \(found.count) ids",
        hint: "Write more of the id")
    }
    return found.last
  }

  func findEntry(_ path: String, in snapshot: CommittedSnapshot) throws -> LocatedEntry {
    let object = "\(snapshot.name):\(path)"
    guard let bytes = bytes(fromPrintable: path) else {
      throw ImageError(
        .usage, object, "contains a backslash that does not begin \\xHH, \\n, \\t or \\\\")
    }
    let parts = bytes.split(separator: UInt8(ascii: "/")).map(Array.init)
    let components = snapshot.snapshot.components
    if bytes.first == UInt8(ascii: "/"), let found = components.containing(parts) {
      return try descend(found.component, found.below, object)
    }
    guard let tree = components.rootTree else {
      throw ImageError(
        .pathNotFound, object, "is not a file of the image, and the image has no root tree",
        hint: "'imgstore show \(snapshot.name)' lists the files of the image")
    }
    return try descend(tree, parts, object)
  }

  private func descend(
    _ component: Snapshot.Component, _ parts: [[UInt8]], _ object: String
  ) throws -> LocatedEntry {
    let store = try context.store()
    var entry = component.entry
    var address = ImagePath(component: component.path)
    for part in parts {
      guard let ids = entry.ids,
        let child = try Tree.entries(ids, from: store).first(where: { $0.name == part })
      else {
        throw ImageError(
          .pathNotFound, object, "is not in that snapshot",
          hint: "'imgstore log IMAGE -- PATH' lists the snapshots in which a path changed")
      }
      entry = child
      address = address.appending(part)
    }
    return LocatedEntry(address: address, entry: entry)
  }
}

/// An entry and its address.
public struct LocatedEntry: Sendable {
  public let address: ImagePath
  public let entry: Entry
  /// The path on the management node.
  public var path: [UInt8] { address.bytes }
}
