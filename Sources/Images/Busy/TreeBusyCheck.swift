// Finds the users of a tree that would notice its replacement by another directory: mounts of every
// namespace, overlays, NFS clients, processes and loop devices.
//
// 1. All facts come from the machine, and are read when a change needs them.
// 2. A fact that cannot be determined counts as use. The tree is then changed in place, never exchanged.

import Ingest
import Platform

/// The users of one tree.
struct TreeBusyCheck {
  /// Mount points on the tree or below it. A tree with one cannot be moved.
  private(set) var mounts: [String] = []
  /// Reasons for which the tree must not be moved, even if the user asks for a swap.
  private(set) var obstacles: [String] = []
  /// Reasons against moving the tree, which the user may override.
  private(set) var reasons: [String] = []

  private let files: any FileSystem
  private static let maxTextBytes = 16 << 20
  private static let mountsPath = Array("/proc/self/mountinfo".utf8)

  /// The tree to check.
  struct Request {
    /// The tree's real path on this machine.
    let path: [UInt8]
    /// The tree's path on the management node. It differs from `path` if that is below a staging root.
    let managementPath: AbsolutePath
    let stagingRoot: [UInt8]?
    /// Whether nodes have their root in the tree. Then an export of a directory above counts as well.
    let isServed: Bool
    /// The captured tree; nil if it was not captured.
    let tree: CapturedComponent?
    /// The real path of the store's directory.
    let store: [UInt8]
  }

  init(_ request: Request, _ files: any FileSystem) {
    self.files = files
    let scan = SystemScan(files, tree: request.path)
    let own = MountTable(parsing: text(TreeBusyCheck.mountsPath))
    mounts = own.mounts.filter { isInside($0.point, request.path) }.map { printable($0.point) }
    findSubvolumes(request)
    if isInside(request.store, request.path) {
      obstacles.append("the store \(printable(request.store)) is in it")
    }
    findMounts(request.path, own, scan)
    findExports(of: request.path, in: [0x2f], isServed: request.isServed)
    if let stagingRoot = request.stagingRoot {
      findExports(
        of: request.managementPath.bytes, in: stagingRoot, isServed: request.isServed)
    }
    findUsers(request, own, scan)
  }

  /// Returns the mounts on a tree or below it.
  static func mounts(
    in tree: [UInt8], _ files: any FileSystem
  ) throws(SystemError) -> [MountTable.Mount] {
    let text = try files.readSmallFile(
      at: files.workingDirectory, mountsPath, limitBytes: maxTextBytes)
    return MountTable(parsing: text).mounts.filter { isInside($0.point, tree) }
  }

  private func text(_ path: [UInt8]) -> [UInt8] {
    let limit = TreeBusyCheck.maxTextBytes
    return (try? files.readSmallFile(at: files.workingDirectory, path, limitBytes: limit)) ?? []
  }

  // MARK: Subvolumes and mounts

  /// Finds btrfs subvolumes. An exchange would replace a subvolume with a plain directory, or delete one.
  private mutating func findSubvolumes(_ request: Request) {
    guard let directory = try? files.openDirectory(at: files.workingDirectory, request.path),
      (try? files.volume(of: directory.raw))?.isBtrfs == true
    else { return }
    var found: RelativePath?
    if (try? files.stat(directory.raw))?.inode == Volume.btrfsSubvolumeInode { found = .top }
    do {
      try request.tree?.forEachEntry { stat, path in
        if stat.kind == .directory, stat.inode == Volume.btrfsSubvolumeInode, found == nil {
          found = path()
        }
      }
    } catch {
      obstacles.append("its subvolumes are unknown: \(error)")
      return
    }
    guard let found else { return }
    obstacles.append(
      found.isTop
        ? "it is a btrfs subvolume" : "its directory \(found.text) is a btrfs subvolume")
  }

  private mutating func findMounts(_ tree: [UInt8], _ own: MountTable, _ scan: SystemScan) {
    guard let (mount, inside) = own.locationInFileSystem(of: tree) else {
      reasons.append("its mount is not in /proc/self/mountinfo")
      return
    }
    var seen: Set<[UInt8]> = []
    func add(_ reason: String, _ key: [UInt8]) {
      if seen.insert(key).inserted { reasons.append(reason) }
    }
    // An overlay may be in many namespaces. Its layers are examined once, in this namespace if possible. The
    // layers of this process's own root, as in a container, are outside everything that it can reach.
    var overlays = Set(own.mounts.filter { $0.point == [0x2f] }.map(\.device))
    for (i, table) in ([own] + scan.tables).enumerated() {
      for other in table.mounts {
        let isOther = i > 0 || !isInside(other.point, tree)
        if other.device == mount.device, isInside(other.root, inside), isOther {
          add("it is also mounted on \(printable(other.point))", other.point)
        }
        if i > 0, let (device, path) = table.coveredDirectory(of: other), device == mount.device,
          isInside(path, inside)
        {
          add("something is mounted in it, in another mount namespace", path)
        }
        if overlays.insert(other.device).inserted {
          findLayers(of: other, tree, i > 0 ? i - 1 : nil, scan, add)
        }
        if i == 0, other.type == Array("nsfs".utf8), let number = namespace(other.root),
          !scan.knowsNamespace(number)
        {
          add("a mount namespace without a process may use it", other.root)
        }
      }
    }
  }

  /// Checks whether a tree is a layer of an overlay.
  /// - Parameter namespace: the index of the overlay's table in the scan; nil for this process's own table.
  private func findLayers(
    of overlay: MountTable.Mount, _ tree: [UInt8], _ namespace: Int?, _ scan: SystemScan,
    _ add: (_ reason: String, _ key: [UInt8]) -> Void
  ) {
    for layer in MountTable.layers(of: overlay) {
      if isInside(layer.path, tree) || isInside(tree, layer.path) || isSame(layer.path, tree) {
        return add("it is a layer of the overlay on \(printable(overlay.point))", overlay.point)
      }
      // A file system that was mounted there when the overlay was may be away. Its directory is then missing
      // or empty.
      let isElsewhere = layer.path.first != 0x2f || layer.path.starts(with: Array("/proc/".utf8))
      if isElsewhere || layer.isLower && !isFilled(layer.path, namespace, scan) {
        add("the layers of the overlay on \(printable(overlay.point)) are unknown", overlay.point)
      }
    }
  }

  /// Returns whether a path is a directory that is not empty, for this process or for those of a namespace.
  private func isFilled(_ path: [UInt8], _ namespace: Int?, _ scan: SystemScan) -> Bool {
    scan.isFilled([], path) || namespace.map { scan.isFilled(scan.root(of: $0), path) } ?? false
  }

  /// Returns the number of a mount namespace from a name like "mnt:[4026532456]".
  private func namespace(_ root: [UInt8]) -> UInt64? {
    guard root.starts(with: Array("mnt:[".utf8)) else { return nil }
    return UInt64(String(decoding: root.dropFirst(5).dropLast(), as: UTF8.self))
  }

  private func isSame(_ path: [UInt8], _ other: [UInt8]) -> Bool {
    guard let a = try? files.stat(at: files.workingDirectory, path, followLink: true),
      let b = try? files.stat(at: files.workingDirectory, other, followLink: true)
    else { return false }
    return InodeID(a) == InodeID(b)
  }

  // MARK: Exports (exports(5))

  private mutating func findExports(of tree: [UInt8], in root: [UInt8], isServed: Bool) {
    let above = root == [0x2f] ? [] : root
    var lists = ["/etc/exports", "/var/lib/nfs/etab"].map { above + Array($0.utf8) }
    let directory = above + Array("/etc/exports.d".utf8)
    if let open = try? files.openDirectory(at: files.workingDirectory, directory) {
      for name in (try? files.names(of: open.raw)) ?? []
      where name.suffix(8) == Array(".exports".utf8)[...] {
        lists.append(directory + [0x2f] + name)
      }
    }
    var seen: Set<[UInt8]> = []
    for list in lists {
      for line in text(list).split(separator: 0x0a) {
        let path = exported(line)
        guard path.first == 0x2f, seen.insert(path).inserted else { continue }
        if isInside(path, tree) {
          reasons.append("\(printable(path)) is exported by NFS")
        } else if isServed, isInside(tree, path) {
          reasons.append("nodes have their root in it through the NFS export of \(printable(path))")
        }
      }
    }
  }

  /// Returns the path at the start of a line of exports(5). It may be in quotes.
  private func exported(_ line: ArraySlice<UInt8>) -> [UInt8] {
    let line = line.drop { $0 == 0x20 || $0 == 0x09 }
    let path: ArraySlice<UInt8> =
      line.first == 0x22
      ? line.dropFirst().prefix { $0 != 0x22 } : line.prefix { $0 != 0x20 && $0 != 0x09 }
    let clean = unescapedOctal(path)
    return clean.count > 1 && clean.last == 0x2f ? Array(clean.dropLast()) : clean
  }

  // MARK: Processes and the kernel

  private mutating func findUsers(_ request: Request, _ own: MountTable, _ scan: SystemScan) {
    var users: [String] = []
    var seen: Set<String> = []
    func add(_ user: String) { if seen.insert(user).inserted { users.append(user) } }
    for (path, user) in scan.paths where isInside(path, request.path) { add(user) }
    for path in scan.sockets where isInside(path, request.path) {
      add("a socket in it is bound (\(printable(path)))")
    }
    guard let tree = request.tree else {
      reasons += users + ["it was not captured, so its users cannot be found"]
      return
    }
    // For layered file systems, /proc/PID/maps and stat(2) report different device numbers.
    let type = own.mount(of: request.path)?.type
    let isLayered = type == Array("btrfs".utf8) || type == Array("overlay".utf8)
    let socketNames = Set(scan.sockets.map { Array($0.suffix(while: { $0 != 0x2f })) })
    func check(_ stat: FileStat, _ path: () -> RelativePath) {
      if let user = scan.inodes[InodeID(stat)] { add(user) }
      if isLayered, let (user, mapping) = scan.mappedNumbers[stat.inode],
        scan.inode(ofMapping: mapping).map({ $0 == InodeID(stat) }) ?? true
      {
        add(user)
      }
      if stat.kind == .socket, !socketNames.isEmpty,
        socketNames.contains(path().lastComponent)
      {
        add("a socket in it is bound (\(path().text))")
      }
    }
    do { try tree.forEachEntry(check) } catch {
      reasons.append("its users are unknown: \(error)")
    }
    reasons += users.prefix(3)
    if users.count > 3 { reasons.append("and \(users.count - 3) more users") }
    reasons += scan.unknown.prefix(1)
  }
}

extension Collection where Self: BidirectionalCollection {
  /// Returns the longest suffix whose elements all fulfil a condition.
  fileprivate func suffix(while condition: (Element) -> Bool) -> SubSequence {
    var start = endIndex
    while start > startIndex, condition(self[index(before: start)]) { start = index(before: start) }
    return self[start...]
  }
}
