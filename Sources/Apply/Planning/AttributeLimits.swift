// The limits of a file system: coarser times than the snapshot's, owners that its server refuses,
// unsupported attributes, holes smaller than its blocks. Such a difference between a live entry and
// a snapshot is final: writing the entry again would change nothing.
//
// 1. The limits are found by trial: the attributes are set on a nameless file, which leaves no trace, and
//    read back. If the result equals the live entry's attributes, they cannot come closer.
// 2. Without such a file, every difference is assumed to be removable.

import Codec
import Platform
import Store

/// Tests the limits of one file system. Belongs to one thread at a time.
public final class AttributeLimits {
  private let fileSystem: any FileSystem
  private let store: ObjectStore
  private let directory: Descriptor
  private let writer: AttributeWriter
  /// Whether staged trees replace inodes, and with them labels that the snapshot lacks.
  private let replacesLabels: Bool
  private var blockBytes: UInt64?
  private var clock: Descriptor?
  /// The range of seconds in which the file system stores every time to the nanosecond.
  private var exactSeconds: ClosedRange<Int64>?
  private var isUnsupported = false
  private var known: [Attributes: Outcome?] = [:]

  private struct Attributes: Hashable {
    let uid: UInt32
    let gid: UInt32
    let mode: UInt16
    let xattrs: Digest?
    let flags: InodeFlags
  }

  private struct Outcome {
    let stat: FileStat
    let xattrs: XattrSet
    let flags: InodeFlags
    let reasons: [String]
  }

  /// Creates a test of a file system.
  /// - Parameters:
  ///   - directory: an open directory on the file system.
  ///   - replacesLabels: whether entries that differ only in their label get new inodes.
  public init(
    _ fileSystem: any FileSystem, _ store: ObjectStore, in directory: Descriptor,
    replacesLabels: Bool = false
  ) {
    self.fileSystem = fileSystem
    self.store = store
    self.directory = directory
    self.replacesLabels = replacesLabels
    writer = AttributeWriter(fileSystem, store)
  }

  /// Whether files can have copy on write or not.
  var canChangeCopyOnWrite: Bool { fileSystem.isBtrfs(directory.raw) }

  /// Returns the fields that can come closer to `desired`, and the reasons for the others.
  /// - Parameters:
  ///   - fields: the fields that differ.
  ///   - live: contains the attribute sets and hole maps of `current`.
  /// - Throws: `StoreError`, `SystemError`.
  public func reachable(
    _ fields: ChangedFields, from current: Entry, _ live: any ObjectSource, to desired: Entry
  ) throws -> (left: ChangedFields, reasons: [String]) {
    var left = fields
    var reasons: [String] = []
    func drop(_ field: ChangedFields, _ reason: String) {
      left.remove(field)
      reasons.append(reason)
    }
    if fields.contains(.modified), !isExact(desired.modified, since: current.modified),
      try stored(desired.modified) == current.modified
    {
      drop(.modified, "the modification time cannot be set exactly on this file system")
    }
    if fields.contains(.holes), try !canHold(desired, current, live) {
      drop(.holes, "its holes cannot be restored exactly on this file system")
    }
    let attributes: ChangedFields = [.owner, .mode, .xattrs, .flags]
    guard !fields.isDisjoint(with: attributes) else { return (left, reasons) }
    // Only attributes differ that the kernel derives: they are in old snapshots, and nobody sets them.
    if fields.contains(.xattrs), try set(current, live) == set(desired, store) {
      left.remove(.xattrs)
    }
    if left.contains(.xattrs), !replacesLabels, try differsInLabelOnly(current, live, desired) {
      drop(.xattrs, "it keeps its label (security.selinux), which the snapshot lacks")
    }
    // A trial with a file says nothing about the attributes of links and devices.
    guard desired.kind == .file || desired.kind == .directory,
      !left.isDisjoint(with: attributes), let outcome = try outcome(of: desired)
    else { return (left, reasons) }
    let trialReasons =
      outcome.reasons.isEmpty
      ? ["an attribute cannot be set on this file system"]
      : outcome.reasons
    var isLimited = false
    func dropIfReached(_ field: ChangedFields, _ isReached: Bool) {
      guard left.contains(field), isReached else { return }
      left.remove(field)
      isLimited = true
    }
    dropIfReached(.owner, outcome.stat.uid == current.uid && outcome.stat.gid == current.gid)
    dropIfReached(.mode, outcome.stat.mode == current.mode)
    dropIfReached(.flags, outcome.flags == current.flags)
    if left.contains(.xattrs) {
      let now = try set(current, live)
      var reached = outcome.xattrs
      if !replacesLabels, try !set(desired, store).attributes.contains(where: isLabel) {
        reached = XattrSet(
          withoutLabel(reached).attributes + now.attributes.filter(isLabel))
      }
      dropIfReached(.xattrs, now == reached)
    }
    return (left, isLimited ? reasons + trialReasons : reasons)
  }

  // MARK: Attributes

  private func outcome(of entry: Entry) throws -> Outcome? {
    let key = Attributes(
      uid: entry.uid, gid: entry.gid, mode: entry.mode, xattrs: entry.xattrs, flags: entry.flags)
    if let outcome = known[key] { return outcome }
    let outcome = try trial(of: entry)
    known.updateValue(outcome, forKey: key)
    return outcome
  }

  private func trial(of entry: Entry) throws -> Outcome? {
    guard let file = namelessFile() else { return nil }
    var like = entry
    // An empty nameless file represents all kinds.
    like.content = .file(blob: emptyBlob, sizeBytes: 0)
    do {
      try writer.prepare(like, file.raw, try fileSystem.stat(file.raw), path: .top)
      try writer.set(like, of: file.raw, path: .top)
      let stat = try fileSystem.stat(file.raw)
      var set = try fileSystem.xattrNames(at: file.raw, []).compactMap { name in
        try fileSystem.xattr(at: file.raw, [], name: name).map {
          XattrSet.Attribute(name: name, value: $0)
        }
      }
      var reasons = writer.takeProblems().map(\.what)
      if let list = try defaultList(of: entry, canBeOn: file) {
        set.append(list)
        reasons.removeAll { $0.contains(printable(list.name)) }
      }
      let flags =
        entry.flags.isEmpty ? [] : (try? fileSystem.inodeFlags(file.raw)) ?? []
      if !stat.flags.isDisjoint(with: .protecting) {
        try? fileSystem.setInodeFlags(file.raw, [])
      }
      return Outcome(
        stat: stat, xattrs: XattrSet(set).withoutDerived, flags: flags, reasons: reasons)
    } catch is SystemError {
      _ = writer.takeProblems()
      return nil
    }
  }

  /// Returns the default list of a directory if the file system supports lists. A nameless file can have it
  /// only as its access list.
  private func defaultList(
    of entry: Entry, canBeOn file: Descriptor
  ) throws -> XattrSet.Attribute? {
    guard entry.kind == .directory,
      let list = try set(entry, store).attributes.first(where: {
        $0.name == AttributeWriter.defaultList
      }),
      (try? fileSystem.setXattr(
        at: file.raw, [], name: AttributeWriter.accessList, value: list.value)) != nil
    else { return nil }
    return list
  }

  private func namelessFile() -> Descriptor? {
    if isUnsupported { return nil }
    let file = try? fileSystem.openFile(
      at: directory.raw, [0x2e], [.readWrite, .nameless], mode: 0o600)
    isUnsupported = file == nil
    return file
  }

  private func set(_ entry: Entry, _ source: any ObjectSource) throws -> XattrSet {
    guard let id = entry.xattrs else { return XattrSet([]) }
    return try decodeXattrs(source.object(.xattrs, id), id)
  }

  private func withoutLabel(_ set: XattrSet) -> XattrSet {
    XattrSet(set.attributes.filter { !isLabel($0) })
  }

  private func isLabel(_ attribute: XattrSet.Attribute) -> Bool {
    attribute.name == AttributeWriter.label
  }

  /// Returns whether the live entry has a label, the snapshot's has none, and all other attributes are equal.
  private func differsInLabelOnly(
    _ current: Entry, _ live: any ObjectSource, _ desired: Entry
  ) throws -> Bool {
    let (now, then) = (try set(current, live), try set(desired, store))
    return now.attributes.contains(where: isLabel) && !then.attributes.contains(where: isLabel)
      && withoutLabel(now) == then
  }

  // MARK: Times

  /// Returns whether the file system can store the time, as far as earlier trials show. It can
  /// store all times in a range, to its own resolution.
  /// - Parameter live: a time that an existing entry has.
  private func isExact(_ time: Timestamp, since live: Timestamp) -> Bool {
    if exactSeconds?.contains(time.seconds) == true { return true }
    // No coarser resolution can store this number of nanoseconds.
    let trial = Timestamp(seconds: time.seconds, nanoseconds: 999_999_999)
    guard (try? stored(trial)) == trial else { return false }
    // The existing entry's time was stored, so it is in the range as well.
    let known = [exactSeconds?.lowerBound, exactSeconds?.upperBound, live.seconds, time.seconds]
      .compactMap { $0 }
    if let first = known.min(), let last = known.max() { exactSeconds = first...last }
    return true
  }

  /// Returns the stored value of a time.
  private func stored(_ time: Timestamp) throws -> Timestamp? {
    guard let file = clock ?? namelessFile() else { return nil }
    clock = file
    do throws(SystemError) {
      try fileSystem.setModified(file.raw, time)
      return try fileSystem.stat(file.raw).modified
    } catch {
      return nil
    }
  }

  // MARK: Holes

  /// Returns whether the file can have other holes than the live file. It cannot if the live data
  /// ranges equal the snapshot's, rounded to whole blocks.
  private func canHold(
    _ desired: Entry, _ current: Entry, _ live: any ObjectSource
  ) throws -> Bool {
    guard desired.blob == current.blob, desired.blob != nil else { return true }
    func data(_ id: Digest?, _ source: any ObjectSource) throws -> [Range<UInt64>] {
      guard let id else { return desired.sizeBytes > 0 ? [0..<desired.sizeBytes] : [] }
      let bytes = try source.object(.holes, id)
      let map: HoleMap
      do throws(CodecError) { map = try HoleMap.decode(bytes) } catch {
        throw StoreError(.damaged, "hole map \(id)", "is damaged: \(error)")
      }
      return map.data(sizeBytes: desired.sizeBytes)
    }
    let block = try blockSize()
    let size = desired.sizeBytes
    func widened(_ ranges: [Range<UInt64>]) -> [Range<UInt64>] {
      var all: [Range<UInt64>] = []
      for range in ranges {
        let start = range.lowerBound / block * block
        let end = min(size, (range.upperBound - 1) / block * block &+ block)
        if let last = all.last, start <= last.upperBound {
          all[all.count - 1] = last.lowerBound..<max(end, last.upperBound)
        } else {
          all.append(start..<end)
        }
      }
      return all
    }
    return try widened(data(desired.holes, store)) != data(current.holes, live)
  }

  private func blockSize() throws -> UInt64 {
    if let blockBytes { return blockBytes }
    let block = max(1, try fileSystem.volume(of: directory.raw).blockBytes)
    blockBytes = block
    return block
  }
}
