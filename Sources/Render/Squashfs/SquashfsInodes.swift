// Inodes and directory listings, from the last directory of the walk to the first: what a listing
// names has been written by then.
//
// 1. An inode is of the basic type where its values fit, else of the extended one.
// 2. A listing is runs of entries under headers: at most 256, all of one metadata block of inodes,
//    numbers at most 32,767 from the header's. The run that begins a new 8 KiB is in the index.

import Platform
import Store

/// The two tables under way.
struct SquashfsInodes {
  private var plan: SquashfsPlan
  private let contents: [SquashfsContent]
  private let laidOut: SquashfsLayout
  private(set) var inodes: SquashfsMetadata
  private(set) var directories: SquashfsMetadata
  private(set) var owners = SquashfsOwners()
  private(set) var xattrs: SquashfsXattrs
  /// Where the inode of each number is, from number 1 on: the export table.
  private(set) var places: [MetadataReference?]

  init(
    _ plan: SquashfsPlan, _ contents: [SquashfsContent], _ laidOut: SquashfsLayout,
    _ source: OverlayTree, _ press: SquashfsMetadataCompressor
  ) {
    self.plan = plan
    self.contents = contents
    self.laidOut = laidOut
    inodes = SquashfsMetadata(press)
    directories = SquashfsMetadata(press)
    xattrs = SquashfsXattrs(source, press)
    places = Array(repeating: nil, count: Int(plan.inodes))
  }

  /// What the image cannot hold; complete after `write`.
  var problems: [SquashfsProblem] { plan.problems }

  /// Writes all inodes and listings.
  /// - Returns: where the root's inode is.
  mutating func write() throws -> MetadataReference {
    for node in plan.nodes.indices.reversed()
    where plan.nodes[node].isKept && plan.nodes[node].entry.kind == .directory {
      let children = plan.nodes[node].children.filter { plan.nodes[$0].isKept }
      for child in children where plan.nodes[child].entry.kind != .directory {
        _ = try place(of: child)
      }
      let listing = try list(children)
      try add(node, try directoryRecord(node, listing))
    }
    try inodes.finish()
    try directories.finish()
    return try place(of: 0)
  }

  /// The place of a node's inode, which is written where it is not yet.
  private mutating func place(of node: Int) throws -> MetadataReference {
    let original = plan.nodes[node].original
    let number = Int(plan.nodes[original].inode)
    if let place = places[number - 1] { return place }
    return try add(original, try record(original))
  }

  @discardableResult
  private mutating func add(
    _ node: Int, _ record: (type: UInt16, body: [UInt8])
  ) throws -> MetadataReference {
    let place = inodes.place
    let entry = plan.nodes[node].entry
    var bytes: [UInt8] = []
    bytes.append16(record.type)
    bytes.append16(entry.mode)
    bytes.append16(try owners.place(of: entry.uid))
    bytes.append16(try owners.place(of: entry.gid))
    bytes.append32(UInt32(clamping: entry.modified.seconds))
    bytes.append32(plan.nodes[node].inode)
    try inodes.append(bytes + record.body)
    places[Int(plan.nodes[node].inode) - 1] = place
    return place
  }

  private mutating func xattr(_ node: Int) throws -> UInt32 {
    guard let set = plan.nodes[node].entry.xattrs else { return Squashfs.noXattrs }
    let (id, omitted) = try xattrs.number(of: set)
    for name in omitted {
      plan.addProblem(node, "its attribute \(printable(name)) has no place in squashfs")
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
        preconditionFailure("a node that has no record of this kind")
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
    let place = content.map { laidOut.places[$0] } ?? SquashfsBlockLocation()
    let size = content.map { contents[$0].sizeBytes } ?? 0
    let fragment = content.map { contents[$0].fragment } ?? Squashfs.noFragment
    let offset = content.map { contents[$0].fragmentOffset } ?? 0
    let isBasic =
      links == 1 && xattr == Squashfs.noXattrs && place.zeroBytes == 0
      && place.start <= UInt64(UInt32.max) && size <= UInt64(UInt32.max)
    var body: [UInt8] = []
    body.reserveCapacity(40 + 4 * place.words.count)
    if isBasic {
      body.append32(UInt32(place.start))
      body.append32(fragment)
      body.append32(offset)
      body.append32(UInt32(size))
    } else {
      body.append64(place.start)
      body.append64(size)
      body.append64(place.zeroBytes)
      body.append32(links)
      body.append32(fragment)
      body.append32(offset)
      body.append32(xattr)
    }
    for word in place.words { body.append32(word) }
    return (Squashfs.InodeType.file + (isBasic ? 0 : Squashfs.InodeType.extended), body)
  }

  private func symlinkRecord(_ target: [UInt8], _ links: UInt32) -> [UInt8] {
    var body = linksRecord(links)
    body.append32(UInt32(target.count))
    return body + target
  }

  private func deviceRecord(_ number: DeviceNumber, _ links: UInt32) -> [UInt8] {
    var body = linksRecord(links)
    // As the kernel's new_encode_dev lays it out: 12 bits of major among 20 of minor.
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
    var place: MetadataReference
    var bytes = 0
    var index: [(offset: Int, block: UInt64, name: [UInt8])] = []
  }

  private mutating func list(_ children: [Int]) throws -> Listing {
    var listing = Listing(place: directories.place)
    let start = Int(listing.place.offset)
    var at = 0
    while at < children.count {
      let first = try place(of: children[at])
      let number = plan.nodes[children[at]].inode
      let header = listing.bytes
      var entries: [UInt8] = []
      var count = 0
      while at < children.count, count < Squashfs.maxEntriesPerHeader {
        let node = plan.nodes[children[at]]
        let place = try place(of: children[at])
        let distance = Int64(node.inode) - Int64(number)
        guard place.block == first.block, let delta = Int16(exactly: distance) else { break }
        // An entry that would begin another metadata block than its header ends the run.
        let end = start + header + 12 + entries.count
        if count > 0,
          end / Squashfs.metadataBytes > (start + header) / Squashfs.metadataBytes
        {
          break
        }
        entries.append16(place.offset)
        entries.append16(UInt16(bitPattern: delta))
        entries.append16(node.entry.kind.squashfsType)
        entries.append16(UInt16(node.entry.name.count - 1))
        entries += node.entry.name
        count += 1
        at += 1
      }
      let block = directories.place.block
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
    // The root's parent is one more than the last inode, as mksquashfs has it.
    let parent = node == 0 ? plan.inodes + 1 : plan.nodes[plan.nodes[node].parent].inode
    let size = listing.bytes + 3  // for "." and ".."
    guard let size32 = UInt32(exactly: size), listing.index.count <= Int(UInt16.max) else {
      throw RenderError(
        printable(plan.path(of: node)), "has more entries than a squashfs directory can hold")
    }
    var body: [UInt8] = []
    if let size16 = UInt16(exactly: size), listing.index.isEmpty, xattr == Squashfs.noXattrs {
      body.append32(UInt32(listing.place.block))
      body.append32(links)
      body.append16(size16)
      body.append16(listing.place.offset)
      body.append32(parent)
      return (Squashfs.InodeType.directory, body)
    }
    body.append32(links)
    body.append32(size32)
    body.append32(UInt32(listing.place.block))
    body.append32(parent)
    body.append16(UInt16(listing.index.count))
    body.append16(listing.place.offset)
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
  /// The basic type of inode; listings have it also where the inode is an extended one.
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
