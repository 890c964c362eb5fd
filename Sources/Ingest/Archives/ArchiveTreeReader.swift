// A whole root tree from a cpio or tar archive into the store, read once, as a stream.
//
// 1. The archive is hostile: `TreeAssembler` says what refuses it. Nothing outside the store is
//    written here.
// 2. Nothing is dropped silently: an archive that is cut off, even between two members, or that has
//    anything behind its end mark is refused; what the archive says and the tree does not keep is a
//    loss, by name and count.
// 3. The tree is the one that a capture of the unpacked archive would give. Holes of sparse members
//    stay holes.

import Archive
import Codec
import Platform
import Store

/// What an archive says of entries, and the tree read from it does not keep.
public struct ArchiveLoss: Sendable, Equatable {
  public let what: String
  public internal(set) var count: Int
  /// The first entry, below the top.
  public let path: [UInt8]
}

/// A tree from an archive, in the store.
public struct ArchiveTree: Sendable {
  /// The top directory; its name is empty.
  public let entry: Entry
  /// Entries in the tree, the top included.
  public let entryCount: UInt64
  /// The sizes of all files, each name of a hard link counted.
  public let contentBytes: UInt64
  /// Empty where everything was kept.
  public let losses: [ArchiveLoss]
}

/// Reads archives of root trees into a session.
public struct ArchiveTreeReader {
  private let progress: Progress
  private let limits: ArchiveTreeLimits
  private let noteHoles: (UInt64) throws -> Void

  /// - Parameter noteHoles: told the bytes of holes before they are read; may refuse them.
  public init(
    progress: Progress, limits: ArchiveTreeLimits = ArchiveTreeLimits(),
    noteHoles: @escaping (UInt64) throws -> Void = { _ in }
  ) {
    self.progress = progress
    self.limits = limits
    self.noteHoles = noteHoles
  }

  /// Reads an archive to its end.
  /// - Parameters:
  ///   - source: the plain stream: cpio (newc, crc) or tar, told apart by its first bytes.
  ///   - top: the folder that all members lie in: "rootimg". Its own member gives the top's
  ///     attributes.
  /// - Throws: `BundleError`, `StoreError`, and what the source throws.
  public func read(
    _ source: @escaping ByteSource, worker: SessionWorker, top: [UInt8]
  ) throws -> ArchiveTree {
    var reading = Reading(
      worker: worker, progress: progress, top: top,
      tree: TreeAssembler(top: top, limits: limits), noteHoles: noteHoles)
    defer { reading.tree.dismantle() }
    do {
      let (format, source) = try ArchiveFormat.recognise(source)
      switch format {
      case .cpio: try reading.read(CpioReader(source))
      case .tar: try reading.read(TarReader(source), source)
      }
    } catch let error as ArchiveError {
      throw BundleError(
        error.member.isEmpty ? "the archive" : "member \(printable(error.member.prefix(255)))",
        error.finding, advice: BundleError.damagedAdvice)
    }
    try reading.resolveLists()
    let topEntry = try reading.tree.finish()
    guard case .directory(let directory) = topEntry.content else {
      throw BundleError("the archive", "holds no directory \(printable(top))/")
    }
    var builder = TreeBuilder { try worker.add($0.kind, $0.id, $0.bytes) }
    let ids = try builder.build(directory)
    return ArchiveTree(
      entry: builder.entry(topEntry, ids, name: []), entryCount: builder.entryCount + 1,
      contentBytes: builder.contentBytes, losses: reading.losses)
  }
}

/// One archive being read.
private struct Reading: ~Copyable {
  let worker: SessionWorker
  let progress: Progress
  var tree: TreeAssembler
  var blobs = BlobIngester()
  private let top: [UInt8]
  private let noteHoles: (UInt64) throws -> Void
  private(set) var losses: [ArchiveLoss] = []
  /// Lists that name users or groups without numbers, by the entry's inode.
  private var pending: [UInt64: PendingLists] = [:]
  /// The tree's own etc/passwd and etc/group, which give names their numbers.
  private var accounts: [[UInt8]: [UInt8]] = [:]

  private static let accountFiles = ["etc/passwd", "etc/group"].map { Array($0.utf8) }
  private static let maxAccountBytes = 4 << 20

  private struct PendingLists {
    let path: [UInt8]
    let mode: UInt16
    let xattrs: [TarMember.Xattr]
    let access: AccessList?
    let inherited: AccessList?
  }

  init(
    worker: SessionWorker, progress: Progress, top: [UInt8], tree: TreeAssembler,
    noteHoles: @escaping (UInt64) throws -> Void
  ) {
    self.worker = worker
    self.progress = progress
    self.top = top
    self.tree = tree
    self.noteHoles = noteHoles
  }

  private mutating func lose(_ what: String, _ path: [UInt8]) {
    if let known = losses.firstIndex(where: { $0.what == what }) {
      losses[known].count += 1
    } else if losses.count < 64 {
      losses.append(ArchiveLoss(what: what, count: 1, path: inside(path)))
    }
  }

  /// A member's path below the top.
  private func inside(_ path: [UInt8]) -> [UInt8] {
    var rest = path[...]
    while rest.starts(with: [0x2e, 0x2f]) { rest = rest.dropFirst(2) }
    if rest.starts(with: top + [0x2f]) { return Array(rest.dropFirst(top.count + 1)) }
    return rest.elementsEqual(top) ? [] : Array(rest)
  }

  // MARK: cpio

  mutating func read(_ cpio: CpioReader) throws {
    while let member = try cpio.next() {
      var entry = ScannedEntry(name: [], stat: FileStat(member), content: .node)
      let isLinked = member.links > 1 && member.kind != .directory
      var blob: (id: Digest, sizeBytes: UInt64)?
      switch member.kind {
      case .symlink(let target): entry.content = .symlink(target)
      case .file:
        try tree.expectNew(member.path)
        if member.sizeBytes > 0 || !isLinked {
          blob = try ingest(member.path, member.sizeBytes) { try cpio.read($0) }
        }
        entry.content = isLinked ? .unread : .file(blob: blob?.id ?? emptyBlob)
      default: break
      }
      if isLinked {
        try tree.addLinked(member.path, entry, member.inode, blob: blob)
      } else {
        _ = try tree.add(member.path, entry)
      }
      progress.add(items: 1)
    }
  }

  // MARK: tar

  mutating func read(_ tar: TarReader, _ source: @escaping ByteSource) throws {
    while let member = try tar.next() {
      progress.add(items: 1)
      for what in member.unknown { lose(what, member.path) }
      if case .hardLink(let target) = member.kind {
        let blob = try tree.addLink(member.path, to: target)
        if member.sizeBytes > 0 {
          let content = try ingest(member.path, member.sizeBytes) { try tar.read($0) }
          guard content.id == blob else {
            throw ArchiveError(
              member: member.path, "it is a hard link with other content than its target")
          }
        }
        continue
      }
      guard var stat = FileStat(member) else { continue }
      let (xattrs, isPending) = lists(of: member, &stat)
      var entry = ScannedEntry(name: [], stat: stat, content: .node)
      entry.xattrs = try store(xattrs)
      switch member.kind {
      case .symlink(let target): entry.content = .symlink(target)
      case .file:
        try tree.expectNew(member.path)
        if let sparse = member.sparse {
          try noteHoles(sparse.holeBytes)
          entry.holes = try store(sparse)
        }
        let blob =
          try ingestSparse(member, tar)
          ?? ingest(member.path, member.sizeBytes) { try tar.read($0) }.id
        entry.content = .file(blob: blob)
      default: break
      }
      guard let place = try tree.add(member.path, entry), isPending else { continue }
      pending[place.entry.stat.inode] = PendingLists(
        path: member.path, mode: member.mode, xattrs: xattrs, access: member.accessList,
        inherited: member.defaultList)
    }
    guard tar.hasEndMark else {
      throw ArchiveError("the archive is cut off: it ends without the end mark, a block of zeros")
    }
    guard try hasOnlyZerosLeft(source) else {
      throw ArchiveError("something follows the archive's end mark: more than one archive?")
    }
  }

  // MARK: Access control lists

  /// The attributes of a member with its lists among them, and the mode that goes with these.
  /// - Returns: whether a list waits for the numbers of its names.
  private func lists(
    of member: TarMember, _ stat: inout FileStat
  ) -> (xattrs: [TarMember.Xattr], isPending: Bool) {
    var xattrs = member.xattrs
    if case .symlink = member.kind { return (xattrs, false) }
    var isPending = false
    for (list, name) in [
      (member.accessList, AccessList.accessName), (member.defaultList, AccessList.defaultName),
    ] {
      // The attribute itself may stand beside its text.
      guard let list, !xattrs.contains(where: { $0.name == name }) else { continue }
      let isAccess = name == AccessList.accessName
      if list.unresolvedName != nil {
        isPending = true
      } else if let value = list.linuxValue {
        if isAccess { stat.mode = list.mode(stat.mode) }
        if !isAccess || !list.isMinimal { xattrs.append(.init(name: name, value: value)) }
      }
    }
    if isPending, let access = member.accessList { stat.mode = access.narrowedMode(stat.mode) }
    return (xattrs, isPending)
  }

  /// Gives the names in lists the numbers that the tree's own accounts have. A list with a name that
  /// they lack is lost, and the mode stays narrowed.
  mutating func resolveLists() throws {
    if pending.isEmpty { return }
    let users = AccountNumbers(accounts[Reading.accountFiles[0]] ?? [])
    let groups = AccountNumbers(accounts[Reading.accountFiles[1]] ?? [])
    var changes: [UInt64: (mode: UInt16, xattrs: Digest?)] = [:]
    for (inode, lists) in pending.sorted(by: { $0.key < $1.key }) {
      var xattrs = lists.xattrs
      var mode = lists.mode
      for (list, name) in [
        (lists.access, AccessList.accessName), (lists.inherited, AccessList.defaultName),
      ] {
        guard var list, !xattrs.contains(where: { $0.name == name }) else { continue }
        list.resolve(user: users.number, group: groups.number)
        let isAccess = name == AccessList.accessName
        if let value = list.linuxValue {
          if isAccess { mode = list.mode(mode) }
          if !isAccess || !list.isMinimal { xattrs.append(.init(name: name, value: value)) }
        } else {
          if isAccess { mode = list.narrowedMode(mode) }
          let missing = list.unresolvedName.map { printable($0.prefix(64)) } ?? ""
          lose(
            "an access control list that names '\(missing)', whom the tree does not know",
            lists.path)
        }
      }
      changes[inode] = (mode, try store(xattrs))
    }
    tree.forEachEntry { entry in
      guard let change = changes[entry.stat.inode] else { return }
      entry.stat.mode = change.mode
      entry.xattrs = change.xattrs
    }
  }

  private func store(_ sparse: SparseMap) throws -> Digest? {
    let holes = sparse.holes
    if holes.isEmpty { return nil }
    let bytes = HoleMap(holes).encode()
    let id = SHA256.digest(of: bytes)
    try worker.add(.holes, id, bytes)
    return id
  }

  private func store(_ xattrs: [TarMember.Xattr]) throws -> Digest? {
    if xattrs.isEmpty { return nil }
    let bytes = XattrSet(xattrs.map { .init(name: $0.name, value: $0.value) }).encode()
    let id = SHA256.digest(of: bytes)
    try worker.add(.xattrs, id, bytes)
    return id
  }

  // MARK: Content

  /// A member with so much in holes that a capture of it would have a sparse id; nil for another.
  private mutating func ingestSparse(_ member: TarMember, _ tar: TarReader) throws -> Digest? {
    guard let sparse = member.sparse, sparse.holeBytes > SparseHash.minHoleBytes else {
      return nil
    }
    let ranges = HoleReader.ranges(between: sparse.holes, sizeBytes: sparse.sizeBytes)
    var ingester = SparseIngester(KernelFileSystem.shared, worker: worker)
    let id = try ingester.ingest(ranges, sizeBytes: sparse.sizeBytes, window: blobs.window) {
      offset, target in
      tar.skipHole(upTo: offset)
      var count = 0
      while count < target.count {
        let n = try tar.read(UnsafeMutableRawBufferPointer(rebasing: target[count...]))
        if n == 0 { return false }
        count += n
      }
      return true
    }
    guard let id else { throw ArchiveError(member: member.path, "it ends too early") }
    return id
  }

  private mutating func ingest(
    _ path: [UInt8], _ sizeBytes: UInt64, _ read: (UnsafeMutableRawBufferPointer) throws -> Int
  ) throws -> (id: Digest, sizeBytes: UInt64) {
    let progress = progress
    let file = inside(path)
    let isAccounts = Reading.accountFiles.contains(file)
    var kept: [UInt8] = []
    let blob = try blobs.ingest(worker) { target in
      let n = try read(target)
      progress.add(bytes: UInt64(n))
      if isAccounts, kept.count < Reading.maxAccountBytes {
        kept += UnsafeRawBufferPointer(rebasing: target[..<n])
      }
      return n
    }
    if isAccounts { accounts[file] = kept }
    guard blob.sizeBytes == sizeBytes else {
      throw ArchiveError(member: path, "it ends too early")
    }
    return blob
  }
}

extension FileStat {
  fileprivate init(_ member: CpioMember) {
    let (kind, node): (FileKind, DeviceNumber) =
      switch member.kind {
      case .file: (.file, .none)
      case .directory: (.directory, .none)
      case .symlink: (.symlink, .none)
      case .characterDevice(let major, let minor):
        (.characterDevice, DeviceNumber(major: major, minor: minor))
      case .blockDevice(let major, let minor):
        (.blockDevice, DeviceNumber(major: major, minor: minor))
      case .fifo: (.fifo, .none)
      case .socket: (.socket, .none)
      }
    self.init(
      kind: kind, mode: member.mode, uid: member.uid, gid: member.gid, size: member.sizeBytes,
      node: node, modified: Timestamp(seconds: Int64(member.modifiedSeconds), nanoseconds: 0))
  }

  /// Nil for a hard link, which has no attributes of its own.
  fileprivate init?(_ member: TarMember) {
    let (kind, node): (FileKind, DeviceNumber)
    switch member.kind {
    case .file: (kind, node) = (.file, .none)
    case .directory: (kind, node) = (.directory, .none)
    case .symlink: (kind, node) = (.symlink, .none)
    case .characterDevice(let major, let minor):
      (kind, node) = (.characterDevice, DeviceNumber(major: major, minor: minor))
    case .blockDevice(let major, let minor):
      (kind, node) = (.blockDevice, DeviceNumber(major: major, minor: minor))
    case .fifo: (kind, node) = (.fifo, .none)
    case .hardLink: return nil
    }
    self.init(
      kind: kind, mode: member.mode, uid: member.uid, gid: member.gid, size: member.sizeBytes,
      node: node,
      modified: Timestamp(
        seconds: member.modifiedSeconds, nanoseconds: member.modifiedNanoseconds))
  }
}

/// Numbers by names, from the lines of a passwd or group file.
private struct AccountNumbers {
  private var numbers: [[UInt8]: UInt32] = [Array("root".utf8): 0]

  init(_ bytes: [UInt8]) {
    for line in bytes.split(separator: 0x0a) {
      let fields = line.split(separator: 0x3a, maxSplits: 3, omittingEmptySubsequences: false)
      guard fields.count >= 3, let number = UInt32(String(decoding: fields[2], as: UTF8.self)),
        number != .max
      else { continue }
      numbers[Array(fields[0])] = number
    }
  }

  func number(_ name: [UInt8]) -> UInt32? { numbers[name] }
}
