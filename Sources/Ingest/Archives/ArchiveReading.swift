// Reads the members of an archive, or of several layers, into a tree. The invariants are those of
// `ArchiveTreeReader`.

import Archive
import Codec
import Platform
import Store

/// The files whose content maps the names of users and groups to numbers.
private let accountFiles = ["etc/passwd", "etc/group"].map { Array($0.utf8) }
private let maxAccountBytes = 4 << 20

/// A tree that the members of archives are added to.
protocol MemberTree {
  /// Makes the checks of `addMember` before the content of a member is read.
  func expectNew(_ path: [UInt8]) throws(BundleError)
  /// Adds a member.
  /// - Returns: the number of its inode; nil if the member is not in the tree.
  mutating func addMember(_ path: [UInt8], _ entry: ScannedEntry) throws(BundleError) -> UInt64?
  /// Adds another name of an earlier member.
  /// - Returns: the content of that member, if it is a file.
  mutating func addLink(_ path: [UInt8], to target: [UInt8]) throws(BundleError) -> Digest?
  /// Applies a member that only removes others.
  /// - Returns: whether the member is one.
  mutating func takeWhiteout(_ path: [UInt8]) throws(BundleError) -> Bool
  /// Calls `body` with each entry, which it may change in place.
  func forEachEntry(_ body: (inout ScannedEntry) -> Void)
}

extension TreeAssembler: MemberTree {
  mutating func addMember(_ path: [UInt8], _ entry: ScannedEntry) throws(BundleError) -> UInt64? {
    try add(path, entry)?.entry.stat.inode
  }

  /// Archives of trees have no whiteouts.
  func takeWhiteout(_ path: [UInt8]) -> Bool { false }
}

/// The state of reading one archive, or several layers.
struct ArchiveReading<Members: MemberTree>: ~Copyable {
  let worker: SessionWorker
  let progress: Progress
  var tree: Members
  var blobs = BlobIngester()
  private let earlier: EarlierFiles?
  private let top: [UInt8]
  private let noteHoles: (UInt64) throws -> Void
  private(set) var losses: [ArchiveLoss] = []
  /// Access control lists that name users or groups without numbers, by the inode of their entry.
  private var pending: [UInt64: PendingLists] = [:]
  /// The contents of etc/passwd and etc/group in the tree, which map names to numbers.
  private var accounts: [[UInt8]: [UInt8]] = [:]

  private struct PendingLists {
    let path: [UInt8]
    let mode: UInt16
    let xattrs: [TarMember.Xattr]
    let access: AccessList?
    let inherited: AccessList?
  }

  init(
    worker: SessionWorker, progress: Progress, top: [UInt8], tree: Members,
    following earlier: EarlierTree?, noteHoles: @escaping (UInt64) throws -> Void
  ) {
    self.worker = worker
    self.earlier = earlier.map(EarlierFiles.init)
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

  /// Returns a member's path relative to the top.
  private func inside(_ path: [UInt8]) -> [UInt8] {
    var rest = path[...]
    while rest.starts(with: [0x2e, 0x2f]) { rest = rest.dropFirst(2) }
    if rest.starts(with: top + [0x2f]) { return Array(rest.dropFirst(top.count + 1)) }
    return rest.elementsEqual(top) ? [] : Array(rest)
  }

  // MARK: tar

  /// Reads the members of a tar archive to its end.
  /// - Parameter mayLackEnd: whether an archive without an end mark is complete, because a digest covers it.
  mutating func read(
    _ tar: TarReader, _ source: @escaping ByteSource, mayLackEnd: Bool = false
  ) throws {
    while let member = try tar.next() {
      progress.add(items: 1)
      if try tree.takeWhiteout(member.path) { continue }
      for what in member.unknown { lose(what, member.path) }
      if case .hardLink(let target) = member.kind {
        let blob = try tree.addLink(member.path, to: target)
        if member.sizeBytes > 0 {
          let content = try ingest(member.path, member.sizeBytes) { try tar.read($0) }
          guard content.id == blob else {
            throw ArchiveError(
              member: member.path, "it is a hard link whose content differs from its target")
          }
        }
        continue
      }
      guard var stat = FileStat(member) else { continue }
      let (xattrs, isPending) = lists(of: member, &stat)
      noteListsOfXFS(xattrs, member.path)
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
      guard let inode = try tree.addMember(member.path, entry), isPending else { continue }
      pending[inode] = PendingLists(
        path: member.path, mode: member.mode, xattrs: xattrs, access: member.accessList,
        inherited: member.defaultList)
    }
    guard tar.hasEndMark || mayLackEnd else {
      throw ArchiveError("the archive is cut off: it has no end mark (a block of zeros)")
    }
    guard try hasOnlyZerosLeft(source) else {
      throw ArchiveError(
        "data follows the archive's end mark: does the file contain several archives?")
    }
  }

  // MARK: Access control lists

  /// Returns the attributes of a member including its access control lists, and adapts the mode to them.
  /// - Returns: the attributes, and whether a list waits until its names can be resolved.
  private func lists(
    of member: TarMember, _ stat: inout FileStat
  ) -> (xattrs: [TarMember.Xattr], isPending: Bool) {
    var xattrs = member.xattrs
    if case .symlink = member.kind { return (xattrs, false) }
    var isPending = false
    for (list, name) in [
      (member.accessList, AccessList.accessName), (member.defaultList, AccessList.defaultName),
    ] {
      // The archive may contain the attribute itself in addition to its text.
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

  /// Notes a list that the archive has only in the form of XFS, which is not kept.
  private mutating func noteListsOfXFS(_ xattrs: [TarMember.Xattr], _ path: [UInt8]) {
    for (own, name) in [
      ("trusted.SGI_ACL_FILE", AccessList.accessName),
      ("trusted.SGI_ACL_DEFAULT", AccessList.defaultName),
    ] where xattrs.contains(where: { $0.name.elementsEqual(own.utf8) }) {
      if xattrs.contains(where: { $0.name == name }) { continue }
      lose("an access control list in the form of XFS", path)
    }
  }

  /// Resolves the names in lists with the accounts of the tree. A list with an unknown name is
  /// lost, and the mode stays narrowed.
  mutating func resolveLists() throws {
    if pending.isEmpty { return }
    let users = AccountNumbers(accounts[accountFiles[0]] ?? [])
    let groups = AccountNumbers(accounts[accountFiles[1]] ?? [])
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
            "an access control list for '\(missing)', which has no account in the tree",
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
    let set = XattrSet(xattrs.map { .init(name: $0.name, value: $0.value) }).withoutDerived
    if set.attributes.isEmpty { return nil }
    let bytes = set.encode()
    let id = SHA256.digest(of: bytes)
    try worker.add(.xattrs, id, bytes)
    return id
  }

  // MARK: Content

  /// Ingests a member whose holes are so large that a capture would give it a sparse id; returns
  /// nil for other members.
  private mutating func ingestSparse(_ member: TarMember, _ tar: TarReader) throws -> Digest? {
    guard let sparse = member.sparse, sparse.holeBytes > SparseBlobHasher.minHoleBytes else {
      return nil
    }
    let ranges = HoleReader.ranges(between: sparse.holes, sizeBytes: sparse.sizeBytes)
    var ingester = SparseIngester(worker: worker)
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

  fileprivate mutating func ingest(
    _ path: [UInt8], _ sizeBytes: UInt64, _ read: (UnsafeMutableRawBufferPointer) throws -> Int
  ) throws -> (id: Digest, sizeBytes: UInt64) {
    let progress = progress
    let file = inside(path)
    let isAccounts = accountFiles.contains(file)
    var accountBytes: [UInt8] = []
    let predecessor = earlier?.predecessor(of: file, sizeBytes: sizeBytes)
    let blob = try blobs.ingest(worker, following: predecessor) { target in
      let n = try read(target)
      progress.add(bytes: UInt64(n))
      if isAccounts, accountBytes.count < maxAccountBytes {
        accountBytes += UnsafeRawBufferPointer(rebasing: target[..<n])
      }
      return n
    }
    if isAccounts { accounts[file] = accountBytes }
    guard blob.sizeBytes == sizeBytes else {
      throw ArchiveError(member: path, "it ends too early")
    }
    return blob
  }
}

extension ArchiveReading where Members == TreeAssembler {
  /// Reads the members of a cpio archive to its end.
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
}
