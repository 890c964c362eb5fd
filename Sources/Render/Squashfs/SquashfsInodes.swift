// Writes inodes and directory listings, from the last directory of the walk to the first, so that
// the entries of a listing are written before it.
//
// 1. An inode has the basic type if its values fit, otherwise the extended one.
// 2. A listing consists of runs of entries with a header. A run has at most 256 entries, all in one
//    metadata block of inodes, with inode numbers at most 32,767 from the header's. The index
//    contains each run that starts a new 8 KiB.

import Platform
import Store

/// Writes the inode and directory tables.
struct SquashfsInodes {
  private var plan: SquashfsPlan
  private let contents: [SquashfsContent]
  private let layout: SquashfsLayout
  private(set) var inodes: SquashfsMetadata
  private(set) var directories: SquashfsMetadata
  private(set) var owners = SquashfsOwners()
  private(set) var xattrs: SquashfsXattrs
  /// The positions of the inodes by number, starting with 1: the export table.
  private(set) var positions: [MetadataReference?]

  init(
    _ plan: SquashfsPlan, _ contents: [SquashfsContent], _ layout: SquashfsLayout,
    _ source: OverlayTree, _ compressor: SquashfsMetadataCompressor
  ) {
    self.plan = plan
    self.contents = contents
    self.layout = layout
    inodes = SquashfsMetadata(compressor)
    directories = SquashfsMetadata(compressor)
    xattrs = SquashfsXattrs(source, compressor)
    positions = Array(repeating: nil, count: Int(plan.inodes))
  }

  /// The properties that the image cannot represent; complete after `write`.
  var problems: [SquashfsProblem] { plan.problems }

  /// Writes all inodes and listings.
  /// - Returns: the position of the root's inode.
  mutating func write() throws -> MetadataReference {
    for node in plan.nodes.indices.reversed()
    where plan.nodes[node].isKept && plan.nodes[node].entry.kind == .directory {
      let children = plan.nodes[node].children.filter { plan.nodes[$0].isKept }
      for child in children where plan.nodes[child].entry.kind != .directory {
        _ = try position(of: child)
      }
      let listing = try list(children)
      try add(node, try directoryRecord(node, listing))
    }
    try inodes.finish()
    try directories.finish()
    return try position(of: 0)
  }

  /// Returns the position of a node's inode, and writes it first if necessary.
  private mutating func position(of node: Int) throws -> MetadataReference {
    let original = plan.nodes[node].original
    let number = Int(plan.nodes[original].inode)
    if let position = positions[number - 1] { return position }
    return try add(original, try record(original))
  }

  @discardableResult
  private mutating func add(
    _ node: Int, _ record: (type: UInt16, body: [UInt8])
  ) throws -> MetadataReference {
    let position = inodes.position
    let entry = plan.nodes[node].entry
    var bytes: [UInt8] = []
    bytes.append16(record.type)
    bytes.append16(entry.mode)
    bytes.append16(try owners.index(of: entry.uid))
    bytes.append16(try owners.index(of: entry.gid))
    bytes.append32(UInt32(clamping: entry.modified.seconds))
    bytes.append32(plan.nodes[node].inode)
    try inodes.append(bytes + record.body)
    positions[Int(plan.nodes[node].inode) - 1] = position
    return position
  }

  private mutating func xattr(_ node: Int) throws -> UInt32 {
    guard let set = plan.nodes[node].entry.xattrs else { return Squashfs.noXattrs }
    let (id, omitted) = try xattrs.number(of: set)
    for name in omitted {
      plan.addProblem(node, "its attribute \(printable(name)) cannot be stored in squashfs")
    }
    return id
  }

  // MARK: Everything but directories

  private mutating func record(_ node: Int) throws -> (type: UInt16, body: [UInt8]) {
    let links = plan.nodes[node].links
    let xattr = try xattr(node)
    let (basic, body) =
      switch plan.nodes[node].entry.content {
      case .file: fileRecord(node, links, xattr)
      case .symlink(let target): (Squashfs.InodeType.symlink, symlinkRecord(target, links))
      case .device(let isBlock, let number):
        (
          isBlock ? Squashfs.InodeType.blockDevice : Squashfs.InodeType.characterDevice,
          deviceRecord(number, links)
        )
      case .fifo: (Squashfs.InodeType.fifo, linksRecord(links))
      case .socket: (Squashfs.InodeType.socket, linksRecord(links))
      case .directory, .unreadableDirectory, .unreadableFile, .unreadableNode:
        preconditionFailure("directories and unreadable entries have no such record")
      }
    if basic == Squashfs.InodeType.file || xattr == Squashfs.noXattrs
      || basic > Squashfs.InodeType.extended
    {
      return (basic, body)
    }
    var extended = body
    extended.append32(xattr)
    return (basic + Squashfs.InodeType.extended, extended)
  }

  private func fileRecord(
    _ node: Int, _ links: UInt32, _ xattr: UInt32
  ) -> (type: UInt16, body: [UInt8]) {
    let content = plan.nodes[node].content
    let position = content.map { layout.locations[$0] } ?? SquashfsBlockLocation()
    let size = content.map { contents[$0].sizeBytes } ?? 0
    let fragment = content.map { contents[$0].fragment } ?? Squashfs.noFragment
    let offset = content.map { contents[$0].fragmentOffset } ?? 0
    let isBasic =
      links == 1 && xattr == Squashfs.noXattrs && position.zeroBytes == 0
      && position.start <= UInt64(UInt32.max) && size <= UInt64(UInt32.max)
    var body: [UInt8] = []
    body.reserveCapacity(40 + 4 * position.words.count)
    if isBasic {
      body.append32(UInt32(position.start))
      body.append32(fragment)
      body.append32(offset)
      body.append32(UInt32(size))
    } else {
      body.append64(position.start)
      body.append64(size)
      body.append64(position.zeroBytes)
      body.append32(links)
      body.append32(fragment)
      body.append32(offset)
      body.append32(xattr)
    }
    for word in position.words { body.append32(word) }
    return (Squashfs.InodeType.file + (isBasic ? 0 : Squashfs.InodeType.extended), body)
  }

  private func symlinkRecord(_ target: [UInt8], _ links: UInt32) -> [UInt8] {
    var body = linksRecord(links)
    body.append32(UInt32(target.count))
    return body + target
  }

  private func deviceRecord(_ number: DeviceNumber, _ links: UInt32) -> [UInt8] {
    var body = linksRecord(links)
    // The layout of the kernel's new_encode_dev: 12 bits of major among 20 of minor.
    body.append32(number.minor & 0xff | number.major << 8 | (number.minor & ~0xff) << 12)
    return body
  }

  private func linksRecord(_ links: UInt32) -> [UInt8] {
    var body: [UInt8] = []
    body.append32(links)
    return body
  }

  // MARK: Directories

  private struct Listing {
    var position: MetadataReference
    var bytes = 0
    var index: [(offset: Int, block: UInt64, name: [UInt8])] = []
  }

  private mutating func list(_ children: [Int]) throws -> Listing {
    var listing = Listing(position: directories.position)
    let start = Int(listing.position.offset)
    var at = 0
    while at < children.count {
      let first = try position(of: children[at])
      let number = plan.nodes[children[at]].inode
      let header = listing.bytes
      var entries: [UInt8] = []
      var count = 0
      while at < children.count, count < Squashfs.maxEntriesPerHeader {
        let node = plan.nodes[children[at]]
        let position = try position(of: children[at])
        let distance = Int64(node.inode) - Int64(number)
        guard position.block == first.block, let delta = Int16(exactly: distance) else { break }
        // A run ends before an entry that would start in another metadata block than its header.
        let end = start + header + 12 + entries.count
        if count > 0,
          end / Squashfs.metadataBytes > (start + header) / Squashfs.metadataBytes
        {
          break
        }
        entries.append16(position.offset)
        entries.append16(UInt16(bitPattern: delta))
        entries.append16(node.entry.kind.squashfsType)
        entries.append16(UInt16(node.entry.name.count - 1))
        entries += node.entry.name
        count += 1
        at += 1
      }
      let block = directories.position.block
      if header > 0,
        (start + header) / Squashfs.metadataBytes
          > (start + (listing.index.last?.offset ?? 0)) / Squashfs.metadataBytes
      {
        listing.index.append((header, block, plan.nodes[children[at - count]].entry.name))
      }
      var run: [UInt8] = []
      run.append32(UInt32(count - 1))
      run.append32(UInt32(first.block))
      run.append32(number)
      run += entries
      try directories.append(run)
      listing.bytes += run.count
    }
    return listing
  }

  private mutating func directoryRecord(
    _ node: Int, _ listing: Listing
  ) throws -> (type: UInt16, body: [UInt8]) {
    let links = plan.nodes[node].links
    let xattr = try xattr(node)
    // The root's parent is the last inode number plus one, as in mksquashfs.
    let parent = node == 0 ? plan.inodes + 1 : plan.nodes[plan.nodes[node].parent].inode
    let size = listing.bytes + 3  // for "." and ".."
    guard let size32 = UInt32(exactly: size), listing.index.count <= Int(UInt16.max) else {
      throw RenderError(
        printable(plan.path(of: node)), "has more entries than a squashfs directory can hold")
    }
    var body: [UInt8] = []
    if let size16 = UInt16(exactly: size), listing.index.isEmpty, xattr == Squashfs.noXattrs {
      body.append32(UInt32(listing.position.block))
      body.append32(links)
      body.append16(size16)
      body.append16(listing.position.offset)
      body.append32(parent)
      return (Squashfs.InodeType.directory, body)
    }
    body.append32(links)
    body.append32(size32)
    body.append32(UInt32(listing.position.block))
    body.append32(parent)
    body.append16(UInt16(listing.index.count))
    body.append16(listing.position.offset)
    body.append32(xattr)
    for (offset, block, name) in listing.index {
      body.append32(UInt32(offset))
      body.append32(UInt32(block))
      body.append32(UInt32(name.count - 1))
      body += name
    }
    return (Squashfs.InodeType.directory + Squashfs.InodeType.extended, body)
  }
}

extension FileKind {
  /// The basic type of the inode. Listings use it for extended inodes, too.
  fileprivate var squashfsType: UInt16 {
    switch self {
    case .directory: Squashfs.InodeType.directory
    case .file: Squashfs.InodeType.file
    case .symlink: Squashfs.InodeType.symlink
    case .blockDevice: Squashfs.InodeType.blockDevice
    case .characterDevice: Squashfs.InodeType.characterDevice
    case .fifo: Squashfs.InodeType.fifo
    case .socket: Squashfs.InodeType.socket
    }
  }
}
