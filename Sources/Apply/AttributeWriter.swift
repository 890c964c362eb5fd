// Owner, extended attributes, mode and time, in the order in which none undoes another: chown
// clears setuid and capabilities, so it comes first; a mode may forbid its own owner to set
// attributes, so it comes after them; the time comes last. What is right already is not set again: each
// change is one of the inode, to be written to the disk.

import Codec
import Platform
import Store

/// Sets attributes of entries. Belongs to one thread at a time.
final class AttributeWriter {
  private let fileSystem: any FileSystem
  private let store: ObjectStore
  private var sets: [Digest: XattrSet] = [:]
  private var problems: [ApplyProblem] = []
  private let mayChown = isRoot

  init(_ fileSystem: any FileSystem, _ store: ObjectStore) {
    self.fileSystem = fileSystem
    self.store = store
  }

  func takeProblems() -> [ApplyProblem] {
    defer { problems = [] }
    return problems
  }

  /// Of an open file or directory.
  func set(_ entry: Entry, of file: Int32, path: [UInt8]) throws {
    let now = try fileSystem.stat(file)
    let hasNewOwner = try owner(entry, now, path) { () throws(SystemError) in
      try fileSystem.setOwner(file, uid: entry.uid, gid: entry.gid)
    }
    let hasNewSet = try reconcile(entry, at: file, [], path)
    if hasNewOwner || hasNewSet || now.mode != entry.mode {
      try fileSystem.setMode(file, entry.mode)
    }
    if now.modified != entry.modified { try fileSystem.setModified(file, entry.modified) }
  }

  /// Of an entry of any kind.
  func set(_ entry: Entry, at directory: Int32, _ name: [UInt8], path: [UInt8]) throws {
    let now = try fileSystem.stat(at: directory, name, followLink: false)
    let hasNewOwner = try owner(entry, now, path) { () throws(SystemError) in
      try fileSystem.setOwner(at: directory, name, uid: entry.uid, gid: entry.gid)
    }
    let hasNewSet = try reconcile(entry, at: directory, name, path)
    if entry.kind != .symlink, hasNewOwner || hasNewSet || now.mode != entry.mode {
      try fileSystem.setMode(at: directory, name, entry.mode)
    }
    if now.modified != entry.modified {
      try fileSystem.setModified(at: directory, name, entry.modified)
    }
  }

  /// - Returns: whether the owner was changed.
  private func owner(
    _ entry: Entry, _ now: FileStat, _ path: [UInt8], _ change: () throws(SystemError) -> Void
  ) throws(SystemError) -> Bool {
    if now.uid == entry.uid, now.gid == entry.gid { return false }
    do {
      try change()
    } catch {
      guard !mayChown, error.code == .notPermitted || error.code == .invalid else { throw error }
      problems.append(
        ApplyProblem(path: path, what: "owner \(entry.uid):\(entry.gid) needs root"))
    }
    return true
  }

  /// Makes the extended attributes exactly those of the entry.
  /// - Returns: whether one was set or removed: lists of access rights change the mode as well.
  private func reconcile(
    _ entry: Entry, at directory: Int32, _ name: [UInt8], _ path: [UInt8]
  ) throws -> Bool {
    let wanted = try entry.xattrs.map(set) ?? XattrSet([])
    var isChanged = false
    for present in try fileSystem.xattrNames(at: directory, name)
    where !wanted.attributes.contains(where: { $0.name == present }) {
      // A label that the system's policy gives by itself is not ours to take away.
      if present == Array("security.selinux".utf8) { continue }
      isChanged = true
      attempt(path) { () throws(SystemError) in
        try fileSystem.removeXattr(at: directory, name, name: present)
      }
    }
    for attribute in wanted.attributes {
      attempt(path) { () throws(SystemError) in
        if try fileSystem.xattr(at: directory, name, name: attribute.name) == attribute.value {
          return
        }
        isChanged = true
        try fileSystem.setXattr(
          at: directory, name, name: attribute.name, value: attribute.value)
      }
    }
    return isChanged
  }

  private func attempt(_ path: [UInt8], _ body: () throws(SystemError) -> Void) {
    do { try body() } catch {
      problems.append(ApplyProblem(path: path, what: error.finding))
    }
  }

  private func set(_ id: Digest) throws -> XattrSet {
    if let known = sets[id] { return known }
    let bytes = try store.object(.xattrs, id)
    let set: XattrSet
    do throws(CodecError) { set = try XattrSet.decode(bytes) } catch {
      throw StoreError(.damaged, "attribute set \(id)", "\(error)")
    }
    sets[id] = set
    return set
  }
}
