// Tags, pins and adoptions of snapshots in a depot, and the removal of snapshots.
//
// A mark and a removal may meet. Each side writes first and looks afterwards, so at least one sees the other:
//
// 1. A removal writes `forgetting/<image>/<n>.<id>`, then looks for marks. If there is one, it deletes its own object
//    and fails. Otherwise it writes `removed/<image>/<n>`, which decides, and deletes the ref.
// 2. A mark is written, then its author looks at `forgetting/` and `removed/`. If there is an object of the number, the
//    author deletes the mark and fails.
// 3. `removed/` is never deleted. A removal that was interrupted blocks new marks until it is repeated.
//
// An adoption, `adopted/<image>/<n>`, says that a second writer has verified the snapshot and reported it. The first
// writer then does not take its ref back (invariant 7 of `Depot`).

import Codec
import ObjectStorage
import Platform
import Store

/// Marks and removes snapshots. A value without state of its own.
package struct DepotMarks: Sendable {
  let refs: DepotRefs
  let makeID: @Sendable () -> WriterID
  private var storage: any ObjectStorage { refs.storage }

  private static let maxMarkBytes = 4096
  private static let maxMarks = 100_000

  init(_ refs: DepotRefs, makeID: @escaping @Sendable () -> WriterID) {
    (self.refs, self.makeID) = (refs, makeID)
  }

  // MARK: Reading

  /// Returns the tags of an image with their numbers. Damaged ones are skipped; `verify` reports them.
  func tags(of image: ImageName) throws -> [String: Int] {
    var tags: [String: Int] = [:]
    for (name, key) in try keys("tags", image) where RefLog.isTagName(Array(name.utf8)) {
      guard let line = try firstLine(key), let number = Int(line), number > 0 else { continue }
      tags[name] = number
    }
    return tags
  }

  /// Returns the pinned snapshots of an image with the reasons.
  func pins(of image: ImageName) throws -> [Int: String] {
    var pins: [Int: String] = [:]
    for (name, key) in try keys("pins", image) {
      guard let number = DepotKeys.number(name) else { continue }
      if let line = try firstLine(key) { pins[number] = line }
    }
    return pins
  }

  private func keys(_ section: String, _ image: ImageName) throws -> [(String, ObjectKey)] {
    let prefix = DepotKeys.prefix(section, image)
    var keys: [(String, ObjectKey)] = []
    try storage.list(prefix) { page in
      for object in page {
        guard let rest = DepotKeys.rest(of: object.key, after: prefix) else { continue }
        keys.append((String(rest), object.key))
      }
      guard keys.count <= DepotMarks.maxMarks else {
        throw DepotError.damaged(prefix, of: storage.name, "has more objects than any image")
      }
      return true
    }
    return keys
  }

  /// Returns the first line of a mark as printable text; nil if it vanished.
  private func firstLine(_ key: ObjectKey) throws -> String? {
    do {
      let bytes = try storage.read(key, range: nil, limitBytes: DepotMarks.maxMarkBytes)
      return printable(Array(bytes.prefix { $0 != 0x0a }))
    } catch {
      if error.isMissingObject { return nil }
      throw error
    }
  }

  // MARK: Marks

  /// Gives a snapshot a tag, unless the tag names another one.
  /// - Returns: the number that has the tag now.
  /// - Throws: `snapshotNotFound`; `invalidName`; `busy` during a removal; `StorageError`.
  func tag(_ tag: String, of image: ImageName, _ number: Int) throws -> Int {
    guard RefLog.isTagName(Array(tag.utf8)) else {
      throw DepotError(.invalidName, "tag '\(printable(Array(tag.utf8)))'", "is not valid")
    }
    let key = DepotKeys.tag(image, tag)
    let ref = try requireRef(image, number)
    let text = "\(number)\n\(image):\(tag) \(ref.id.hex)\n"
    guard try storage.create(key, .bytes(Array(text.utf8)), isUnique: false) else {
      if let line = try firstLine(key), let own = Int(line) { return own }
      throw DepotError.damaged("tag \(image):\(tag)", of: storage.name, "is not readable")
    }
    try requireNotForgotten(image, number, deleting: key)
    return number
  }

  /// Pins a snapshot, unless it is pinned.
  /// - Throws: `snapshotNotFound`; `busy` during a removal; `StorageError`.
  func pin(_ image: ImageName, _ number: Int, reason: String) throws {
    let key = DepotKeys.pin(image, number)
    let ref = try requireRef(image, number)
    let line = reason.split(separator: "\n").first.map(String.init) ?? ""
    let text = "\(line.prefix(1000))\n\(image)@\(number) \(ref.id.hex)\n"
    guard try storage.create(key, .bytes(Array(text.utf8)), isUnique: false) else { return }
    try requireNotForgotten(image, number, deleting: key)
  }

  /// Deletes a tag.
  /// - Returns: false if the image has no such tag.
  func untag(_ tag: String, of image: ImageName) throws -> Bool {
    guard RefLog.isTagName(Array(tag.utf8)) else { return false }
    let key = DepotKeys.tag(image, tag)
    guard try storage.size(of: key) != nil else { return false }
    try storage.delete(key)
    return true
  }

  /// Deletes a pin.
  /// - Returns: false if the snapshot is not pinned.
  func unpin(_ image: ImageName, _ number: Int) throws -> Bool {
    let key = DepotKeys.pin(image, number)
    guard try storage.size(of: key) != nil else { return false }
    try storage.delete(key)
    return true
  }

  /// Adopts a snapshot that another writer has pushed, so that its ref is not taken back.
  /// - Returns: false if the snapshot is being removed.
  func adopt(_ image: ImageName, _ number: Int) throws -> Bool {
    try storage.write(adoption(image, number), .bytes([]))
    return try !isBeingForgotten(image, number)
      && storage.size(of: DepotKeys.ref(image, number)) != nil
  }

  private func adoption(_ image: ImageName, _ number: Int) -> ObjectKey {
    DepotKeys.key("adopted/\(DepotKeys.encoded(image))/\(DepotKeys.digits(number))")
  }

  private func requireRef(_ image: ImageName, _ number: Int) throws -> RefRecord {
    if let ref = try refs.read(image, number), try !refs.isRemoved(image, number) { return ref }
    throw DepotError(
      .snapshotNotFound, "\(image)@\(number)", "does not exist in \(storage.name)",
      hint: "List the history of the image there")
  }

  private func isBeingForgotten(_ image: ImageName, _ number: Int) throws -> Bool {
    var isListed = false
    try storage.list("\(DepotKeys.prefix("forgetting", image))\(DepotKeys.digits(number)).") {
      page in
      isListed = isListed || !page.isEmpty
      return false
    }
    return try isListed || refs.isRemoved(image, number)
  }

  private func requireNotForgotten(
    _ image: ImageName, _ number: Int, deleting key: ObjectKey
  ) throws {
    guard try isBeingForgotten(image, number) else { return }
    try storage.delete(key)
    throw DepotError(
      .busy, "\(image)@\(number) of \(storage.name)", "is being removed",
      hint:
        "If no removal is running there, one was interrupted. Repeat it, or push the snapshot again"
    )
  }

  // MARK: Removal

  /// Removes a snapshot. Its objects stay until the next collection.
  /// - Parameter ignoresMarks: accepts tags, pins and adoptions.
  /// - Returns: false if the image has no such snapshot.
  /// - Throws: `snapshotProtected` for a tagged or pinned snapshot; `StorageError`.
  package func forget(_ image: ImageName, _ number: Int, ignoresMarks: Bool = false) throws -> Bool
  {
    let intent = DepotKeys.forgetting(image, number, makeID())
    guard try storage.size(of: DepotKeys.ref(image, number)) != nil else {
      if try refs.isRemoved(image, number) { try finishForgetting(image, number) }
      return false
    }
    _ = try storage.create(intent, .bytes([]), isUnique: true)
    if !ignoresMarks, let mark = try protectingMark(image, number) {
      try storage.delete(intent)
      throw DepotError(
        .snapshotProtected, "\(image)@\(number) of \(storage.name)", "is protected by \(mark)",
        hint: "Delete the tag or the pin first")
    }
    try decide(image, number)
    return true
  }

  /// Takes back a ref that was created and not reported, unless it is marked or adopted.
  package func rollBack(_ image: ImageName, _ number: Int) throws {
    let intent = DepotKeys.forgetting(image, number, makeID())
    _ = try storage.create(intent, .bytes([]), isUnique: true)
    let isAdopted = try storage.size(of: adoption(image, number)) != nil
    if try isAdopted || protectingMark(image, number) != nil {
      return try storage.delete(intent)
    }
    try decide(image, number)
  }

  private func protectingMark(_ image: ImageName, _ number: Int) throws -> String? {
    if let tag = try tags(of: image).filter({ $0.value == number }).keys.min() {
      return "the tag '\(tag)'"
    }
    return try storage.size(of: DepotKeys.pin(image, number)) != nil ? "a pin" : nil
  }

  private func decide(_ image: ImageName, _ number: Int) throws {
    try storage.write(DepotKeys.removed(image, number), .bytes([]))
    try finishForgetting(image, number)
  }

  /// Deletes what a removal leaves after its decision.
  func finishForgetting(_ image: ImageName, _ number: Int) throws {
    let digits = DepotKeys.digits(number)
    for section in ["signatures", "forgetting"] {
      var keys: [ObjectKey] = []
      try storage.list("\(DepotKeys.prefix(section, image))\(digits).") { page in
        keys += page.map(\.key)
        return keys.count < DepotMarks.maxMarks
      }
      if section == "forgetting" {
        // The ref goes before the objects that block new marks of it.
        try storage.delete(DepotKeys.ref(image, number))
        try storage.delete(adoption(image, number))
        refs.cache.remove(DepotKeys.ref(image, number))
      }
      for key in keys { try storage.delete(key) }
    }
  }
}

extension Depot {
  package var marks: DepotMarks { DepotMarks(refs, makeID: options.makeID) }
}
