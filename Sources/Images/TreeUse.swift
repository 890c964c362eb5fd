// Who would notice that a tree has become another one: mounts, NFS clients, processes. All of it is
// the machine's word, asked for when it is needed; what cannot be read counts as nobody.

import Platform

/// The users of one tree.
struct TreeUse {
  /// Something is mounted on the tree or below: it cannot be moved.
  private(set) var mounts: [String] = []
  /// Reasons not to move it though one could.
  private(set) var reasons: [String] = []

  private static let files = KernelFileSystem.shared
  private var files: KernelFileSystem { TreeUse.files }

  /// - Parameters:
  ///   - path: the tree's real path on this machine.
  ///   - managementPath: its path on the management node, where that is a staging area.
  ///   - isServed: nodes have their root there, so that an export of a folder above counts as well.
  init(
    of path: [UInt8], managementPath: AbsolutePath, stagingRoot: [UInt8]?, isServed: Bool
  ) {
    findMounts(path)
    findExports(of: path, in: [0x2f], isServed: isServed)
    if let stagingRoot {
      findExports(of: managementPath.bytes, in: stagingRoot, isServed: isServed)
    }
    findProcesses(path)
  }

  private static func text(_ path: [UInt8]) -> [UInt8] {
    (try? files.readSmallFile(at: files.workingDirectory, path, limitBytes: 16 << 20)) ?? []
  }

  private func link(_ path: String) -> [UInt8]? {
    try? files.readLink(at: files.workingDirectory, Array(path.utf8))
  }

  // MARK: Mounts (proc(5), mountinfo)

  struct Mount {
    let device: [UInt8]
    let root: [UInt8]
    let point: [UInt8]
  }

  private static func allMounts() -> [Mount] {
    let list = text(Array("/proc/self/mountinfo".utf8))
    return list.split(separator: 0x0a).compactMap { line in
      let fields = line.split(separator: 0x20, maxSplits: 5)
      guard fields.count == 6 else { return nil }
      return Mount(
        device: Array(fields[2]), root: unescaped(fields[3]), point: unescaped(fields[4]))
    }
  }

  /// What is mounted on a tree or below.
  static func mounts(in tree: [UInt8]) -> [Mount] {
    allMounts().filter { isInside($0.point, tree) }
  }

  private mutating func findMounts(_ tree: [UInt8]) {
    let all = TreeUse.allMounts()
    mounts = all.filter { isInside($0.point, tree) }.map { printable($0.point) }
    guard
      let own = all.filter({ isInside(tree, $0.point) }).max(by: {
        $0.point.count < $1.point.count
      })
    else { return }
    let rest = own.point == [0x2f] ? tree : Array(tree.dropFirst(own.point.count))
    let inside = (own.root == [0x2f] ? [] : own.root) + rest
    for other in all
    where other.device == own.device && !isInside(other.point, tree)
      && isInside(other.root, inside)
    {
      reasons.append("it is mounted on \(printable(other.point)) too")
    }
  }

  // MARK: Exports (exports(5))

  private mutating func findExports(of tree: [UInt8], in root: [UInt8], isServed: Bool) {
    let above = root == [0x2f] ? [] : root
    var lists = ["/etc/exports", "/var/lib/nfs/etab"].map { above + Array($0.utf8) }
    let folder = above + Array("/etc/exports.d".utf8)
    if let open = try? files.openDirectory(at: files.workingDirectory, folder) {
      for name in (try? files.names(of: open.raw)) ?? []
      where name.suffix(8) == Array(".exports".utf8)[...] { lists.append(folder + [0x2f] + name) }
    }
    var seen: Set<[UInt8]> = []
    for list in lists {
      for line in TreeUse.text(list).split(separator: 0x0a) {
        let path = exported(line)
        guard path.first == 0x2f, seen.insert(path).inserted else { continue }
        if isInside(path, tree) {
          reasons.append("\(printable(path)) is exported by NFS")
        } else if isServed, isInside(tree, path) {
          reasons.append("nodes have their root there, by the NFS export of \(printable(path))")
        }
      }
    }
  }

  /// The path at the beginning of a line, which may stand in quotes.
  private func exported(_ line: ArraySlice<UInt8>) -> [UInt8] {
    let line = line.drop { $0 == 0x20 || $0 == 0x09 }
    let path: ArraySlice<UInt8> =
      line.first == 0x22
      ? line.dropFirst().prefix { $0 != 0x22 } : line.prefix { $0 != 0x20 && $0 != 0x09 }
    let clean = unescaped(path)
    return clean.count > 1 && clean.last == 0x2f ? Array(clean.dropLast()) : clean
  }

  // MARK: Processes

  private mutating func findProcesses(_ tree: [UInt8]) {
    guard let proc = try? files.openDirectory(at: files.workingDirectory, Array("/proc".utf8)),
      let names = try? files.names(of: proc.raw)
    else { return }
    let own = link("/proc/self") ?? []
    var users: [String] = []
    for name in names where name.allSatisfy({ (0x30...0x39).contains($0) }) && name != own {
      let pid = String(decoding: name, as: UTF8.self)
      guard let what = use(of: tree, pid) else { continue }
      let command = TreeUse.text(Array("/proc/\(pid)/comm".utf8)).filter { $0 != 0x0a }
      users.append("process \(pid) (\(printable(command))) has \(what) in it")
    }
    reasons += users.prefix(3)
    if users.count > 3 { reasons.append("and \(users.count - 3) more processes") }
  }

  private func use(of tree: [UInt8], _ pid: String) -> String? {
    for (name, what) in [
      ("root", "its root"), ("cwd", "its working folder"), ("exe", "its program"),
    ] {
      if let path = link("/proc/\(pid)/\(name)"), isInside(path, tree) { return what }
    }
    let folder = Array("/proc/\(pid)/fd".utf8)
    guard let open = try? files.openDirectory(at: files.workingDirectory, folder) else {
      return nil
    }
    for name in (try? files.names(of: open.raw)) ?? [] {
      if let path = try? files.readLink(at: open.raw, name), isInside(path, tree) {
        return "open files"
      }
    }
    return nil
  }
}

/// `path` is `other`, or lies below it.
private func isInside(_ path: [UInt8], _ other: [UInt8]) -> Bool {
  if other == [0x2f] { return true }
  return path.starts(with: other) && (path.count == other.count || path[other.count] == 0x2f)
}

/// With "\040" and the like as the bytes that they stand for.
private func unescaped(_ text: ArraySlice<UInt8>) -> [UInt8] {
  var bytes: [UInt8] = []
  var i = text.startIndex
  while i < text.endIndex {
    let digits = text[i...].dropFirst().prefix(3)
    if text[i] == 0x5c, digits.count == 3, digits.allSatisfy({ (0x30...0x37).contains($0) }) {
      bytes.append(UInt8(truncatingIfNeeded: digits.reduce(0) { $0 * 8 + Int($1 - 0x30) }))
      i += 4
    } else {
      bytes.append(text[i])
      i += 1
    }
  }
  return bytes
}
