// Sets owner, extended attributes, mode, time and flags, in the order in which none undoes another.
// chown clears setuid and capabilities, so it comes first. A mode may forbid its own owner to set
// attributes, so it follows them. Flags may forbid every change, so they come last. Attributes that
// are already correct are not set again, because each change of an inode causes a disk write.
//
// 1. An attribute that this user or file system cannot set becomes a problem in the report. The
//    content and all other attributes are still set.
// 2. A file whose owner could not be set never gets setuid, setgid or capabilities.

import Codec
import Platform
import Store

/// Sets attributes of entries. Belongs to one thread at a time.
final class AttributeWriter {
  private let fileSystem: any FileSystem
  private let store: ObjectStore
  private var sets: [Digest: XattrSet] = [:]
  private var problems: [(path: RelativePath, what: String)] = []
  /// Whether each device is btrfs. A server would be asked each time.
  private var btrfsDevices: [UInt64: Bool] = [:]

  init(_ fileSystem: any FileSystem, _ store: ObjectStore) {
    self.fileSystem = fileSystem
    self.store = store
  }

  func takeProblems() -> [(path: RelativePath, what: String)] {
    defer { problems = [] }
    return problems
  }

  /// Whether inode flags are set together with the other attributes.
  enum FlagPolicy {
    /// The entry is complete under its final name.
    case set
    /// The entry will be renamed or linked, which protecting flags forbid.
    case later
  }

  /// Sets the attributes of an open file or directory.
  /// - Parameter known: a current stat of the file, if the caller has one.
  /// - Throws: `SystemError` for errors that are not attribute problems; `StoreError` for a damaged
  ///   attribute set.
  func set(
    _ entry: Entry, of file: Int32, path: RelativePath, now known: FileStat? = nil,
    flags: FlagPolicy = .set
  ) throws {
    let now = try known ?? fileSystem.stat(file)
    if entry.kind == .directory, isBtrfs(file, now.device) {
      try prepare(entry, file, now, path: path)
    }
    let owner = try owner(entry, now, path) { (uid, gid) throws(SystemError) in
      try fileSystem.setOwner(file, uid: uid, gid: gid)
    }
    let hasNewSet = try setXattrs(entry, owner, at: file, [], path)
    let mode = mode(of: entry, owner, path)
    if owner.isChanged || hasNewSet || now.mode != mode {
      try attempt(.mode, path) { () throws(SystemError) in try fileSystem.setMode(file, mode) }
    }
    if now.modified != entry.modified {
      try attempt(.modificationTime, path) { () throws(SystemError) in
        try fileSystem.setModified(file, entry.modified)
      }
    }
    if flags == .set { try setFlags(entry, of: file, now, path) }
  }

  /// Sets the attributes of a symbolic link, device, fifo or socket.
  func set(_ entry: Entry, at directory: Int32, _ name: [UInt8], path: RelativePath) throws {
    let now = try fileSystem.stat(at: directory, name, followLink: false)
    let owner = try owner(entry, now, path) { (uid, gid) throws(SystemError) in
      try fileSystem.setOwner(at: directory, name, uid: uid, gid: gid)
    }
    let hasNewSet = try setXattrs(entry, owner, at: directory, name, path)
    let mode = mode(of: entry, owner, path)
    if entry.kind != .symlink, owner.isChanged || hasNewSet || now.mode != mode {
      try attempt(.mode, path) { () throws(SystemError) in
        try fileSystem.setMode(at: directory, name, mode)
      }
    }
    if now.modified != entry.modified {
      try attempt(.modificationTime, path) { () throws(SystemError) in
        try fileSystem.setModified(at: directory, name, entry.modified)
      }
    }
  }

  /// Notes attributes that the file system changed although it accepted them without an error.
  func verify(_ entry: Entry, _ written: FileStat, path: RelativePath) {
    if problems.last?.path == path { return }
    if written.uid != entry.uid || written.gid != entry.gid {
      note(path, "the owner could not be set: this file system does not store owners")
    } else if entry.kind != .symlink, written.mode != entry.mode {
      note(path, "the mode could not be set: this file system stored a different one")
    } else if written.modified != entry.modified {
      note(path, "the modification time could not be set exactly on this file system")
    }
  }

  // MARK: Flags

  /// Sets the inode's flags.
  /// - Parameter stat: a current stat, which has the flags that the inode inherited from its directory.
  func setFlags(
    _ entry: Entry, of file: Int32, _ stat: FileStat, _ path: RelativePath
  ) throws(SystemError) {
    if entry.flags.isEmpty, flags(of: file, stat).isEmpty { return }
    try attempt(.flags(entry.flags), path) { () throws(SystemError) in
      let now = try fileSystem.inodeFlags(file)
      var target = entry.flags
      // No-copy-on-write can change only while the file is empty.
      if entry.kind == .file, target.symmetricDifference(now).contains(.noCopyOnWrite) {
        target.formSymmetricDifference(.noCopyOnWrite)
      }
      if now != target { try fileSystem.setInodeFlags(file, target) }
    }
  }

  /// Returns all flags of an open file or directory (`FileSystem.inodeFlags(of:_:isBtrfs:)`).
  func flags(of file: Int32, _ stat: FileStat) -> InodeFlags {
    fileSystem.inodeFlags(of: file, stat, isBtrfs: isBtrfs(file, stat.device))
  }

  private func isBtrfs(_ file: Int32, _ device: UInt64) -> Bool {
    if let known = btrfsDevices[device] { return known }
    let isBtrfs = fileSystem.isBtrfs(file)
    btrfsDevices[device] = isBtrfs
    return isBtrfs
  }

  /// Sets the flag that a file must have before its content is written, and a directory before its
  /// compression. A new one inherits it from its directory.
  /// - Parameter stat: a stat of the file.
  func prepare(_ entry: Entry, _ file: Int32, _ stat: FileStat, path: RelativePath) throws {
    let isWanted = entry.flags.contains(.noCopyOnWrite)
    if !isWanted, !isBtrfs(file, stat.device) { return }
    // The directory may compress its new files, which excludes the flag.
    if isWanted, try fileSystem.xattr(at: file, [], name: AttributeWriter.compression) != nil {
      try attempt(.xattr(AttributeWriter.compression), path) { () throws(SystemError) in
        try fileSystem.removeXattr(at: file, [], name: AttributeWriter.compression)
      }
    }
    try attempt(.flags(isWanted ? .noCopyOnWrite : []), path) { () throws(SystemError) in
      let now = try fileSystem.inodeFlags(file)
      if now.contains(.noCopyOnWrite) == isWanted { return }
      try fileSystem.setInodeFlags(file, now.symmetricDifference(.noCopyOnWrite))
    }
  }

  // MARK: Owner and mode

  /// The owner of an entry after an attempt to change it.
  private struct Owner {
    var isChanged = false
    var hasUser = true
    var hasGroup = true
    var isComplete: Bool { hasUser && hasGroup }
  }

  private func owner(
    _ entry: Entry, _ now: FileStat, _ path: RelativePath,
    _ change: (UInt32, UInt32) throws(SystemError) -> Void
  ) throws -> Owner {
    var owner = Owner()
    if now.uid == entry.uid, now.gid == entry.gid { return owner }
    owner.isChanged = true
    do throws(SystemError) {
      try change(entry.uid, entry.gid)
    } catch {
      guard error.isRefusal else { throw error }
      owner.hasUser = now.uid == entry.uid
      owner.hasGroup = now.gid == entry.gid
      // A user who cannot give a file away may still change it to one of their own groups.
      if !owner.hasGroup, !owner.hasUser, (try? change(now.uid, entry.gid)) != nil {
        owner.hasGroup = true
      }
      note(path, "the owner could not be set: \(error.code)")
    }
    return owner
  }

  /// Returns the mode that an entry may have with its owner.
  private func mode(of entry: Entry, _ owner: Owner, _ path: RelativePath) -> UInt16 {
    var dropped: UInt16 = 0
    if !owner.hasUser, entry.kind != .directory { dropped |= entry.mode & 0o4000 }
    if !owner.hasGroup { dropped |= entry.mode & 0o2000 }
    if dropped & 0o4000 != 0 {
      note(path, "setuid was not set, because the owner could not be set")
    }
    if dropped & 0o2000 != 0 {
      note(path, "setgid was not set, because the group could not be set")
    }
    return entry.mode & ~dropped
  }

  // MARK: Extended attributes

  static let label = Array("security.selinux".utf8)
  static let capability = Array("security.capability".utf8)
  /// The access list of an entry.
  static let accessList = Array("system.posix_acl_access".utf8)
  /// The access list that new entries of a directory get.
  static let defaultList = Array("system.posix_acl_default".utf8)
  /// The compression of a file on btrfs. New files get that of their directory.
  static let compression = Array("btrfs.compression".utf8)

  /// Sets and removes extended attributes until they equal those of the entry. Those that the kernel derives
  /// stay as it keeps them.
  /// - Returns: whether one changed: access control lists change the mode as well.
  private func setXattrs(
    _ entry: Entry, _ owner: Owner, at directory: Int32, _ name: [UInt8], _ path: RelativePath
  ) throws -> Bool {
    let target = try entry.xattrs.map(set) ?? XattrSet([])
    var isChanged = false
    for present in try fileSystem.xattrNames(at: directory, name)
    where !target.attributes.contains(where: { $0.name == present }) {
      // Keep a label that the system's policy assigns by itself.
      if present == AttributeWriter.label { continue }
      try attempt(.xattr(present), path) { () throws(SystemError) in
        // An attribute may go with another of which it is a second form.
        guard let value = try fileSystem.xattr(at: directory, name, name: present),
          !XattrSet.Attribute(name: present, value: value).isDerived
        else { return }
        isChanged = true
        try fileSystem.removeXattr(at: directory, name, name: present)
      }
    }
    for attribute in target.attributes {
      if attribute.name == AttributeWriter.capability, !owner.isComplete {
        note(path, "capabilities were not set, because the owner could not be set")
        continue
      }
      try attempt(.xattr(attribute.name), path) { () throws(SystemError) in
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

  func set(_ id: Digest) throws -> XattrSet {
    if let known = sets[id] { return known }
    let set = try decodeXattrs(store.object(.xattrs, id), id)
    sets[id] = set
    return set
  }

  // MARK: Problems

  /// An attribute that is set separately.
  private enum Attribute {
    case mode, modificationTime
    case flags(InodeFlags)
    case xattr([UInt8])

    var noun: String {
      switch self {
      case .mode: "mode"
      case .modificationTime: "modification time"
      case .flags(let flags): flags.isEmpty ? "flags" : "flags \(flags.letters)"
      case .xattr(let name): "attribute \(printable(name))"
      }
    }
  }

  /// Sets one attribute. A refusal becomes a problem.
  private func attempt(
    _ attribute: Attribute, _ path: RelativePath, _ body: () throws(SystemError) -> Void
  ) throws(SystemError) {
    do throws(SystemError) {
      try body()
    } catch {
      if case .xattr = attribute, error.code != .inputOutput {
        // An extended attribute may exceed the size of its inode, or the quota.
      } else if !error.isRefusal {
        throw error
      }
      note(path, "the \(attribute.noun) could not be set: \(error.code)")
    }
  }

  /// Adds a problem of an entry whose content is correct.
  func note(_ path: RelativePath, _ what: String) {
    problems.append((path, what))
  }
}

extension SystemError {
  /// Whether the user's permissions, the file system or its server do not allow the operation, now
  /// or later. A full or broken disk is not a refusal.
  var isRefusal: Bool {
    switch code {
    case .notPermitted, .accessDenied, .invalid, .overflow, .notSupported, .notTerminal,
      .notImplemented, .tooLarge:
      true
    default: false
    }
  }
}
