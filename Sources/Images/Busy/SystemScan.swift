// Lists everything that processes and the kernel use on this machine: directories, open and mapped files,
// mounts of every namespace, loop devices, swap files and sockets. It is one pass over /proc, made only if
// a swap is considered.

import Platform

/// The identity of an inode as stat(2) reports it.
struct InodeID: Hashable {
  let device: UInt64
  let number: UInt64
  init(_ stat: FileStat) {
    device = stat.device
    number = stat.inode
  }
  init(device: UInt64, number: UInt64) {
    self.device = device
    self.number = number
  }
}

/// Everything that may be in use on this machine.
struct SystemScan {
  /// Inodes in use, with their users: "process 17 (bash) has its working directory in it".
  private(set) var inodes: [InodeID: String] = [:]
  /// Inode numbers of mapped files whose device number in /proc/PID/maps may differ from that of stat(2).
  private(set) var mappedNumbers: [UInt64: (user: String, range: String)] = [:]
  /// Paths in use, for uses that an inode may not identify.
  private(set) var paths: [(path: [UInt8], user: String)] = []
  private(set) var tables: [MountTable] = []
  /// The path in /proc to the root directory of each table's processes; nil if it is not accessible.
  private var roots: [String?] = []
  /// Names of bound sockets. Some are relative to an unknown directory.
  private(set) var sockets: Set<[UInt8]> = []
  /// Reasons for which the list may be incomplete.
  private(set) var unknown: [String] = []

  private let files: any FileSystem
  private var namespaces: Set<[UInt64]> = []
  private var networks: Set<UInt64> = []
  /// The tree in question. Open files outside it are recorded by inode only.
  private let tree: [UInt8]

  /// - Parameter tree: the real path of the tree in question.
  init(_ files: any FileSystem, tree: [UInt8]) {
    self.files = files
    self.tree = tree
    scanProcesses()
    scanKernel()
  }

  func text(_ path: String) -> [UInt8]? {
    try? files.readSmallFile(
      at: files.workingDirectory, Array(path.utf8), limitBytes: 64 << 20)
  }

  private func stat(_ path: String) throws(SystemError) -> FileStat? {
    try files.statIfPresent(at: files.workingDirectory, Array(path.utf8), followLink: true)
  }

  /// Returns whether an error means that the process has ended, or is a kernel thread. Neither uses anything.
  private static func isGone(_ error: SystemError) -> Bool {
    error.isAbsent || error.code.rawValue == 3
  }

  // MARK: Processes

  private mutating func scanProcesses() {
    let names: [[UInt8]]
    do throws(SystemError) {
      let proc = try files.openDirectory(at: files.workingDirectory, Array("/proc".utf8))
      names = try files.names(of: proc.raw)
        .filter { $0.allSatisfy { (0x30...0x39).contains($0) } }
    } catch {
      unknown.append("/proc cannot be read")
      return
    }
    let own = (try? files.readLink(at: files.workingDirectory, Array("/proc/self".utf8))) ?? []
    if names.isEmpty || own.isEmpty { unknown.append("/proc shows no processes") }
    for name in names {
      let pid = String(decoding: name, as: UTF8.self)
      do throws(SystemError) {
        // In some containers not even root may examine process 1. It uses no image.
        if pid == "1", (try? stat("/proc/1/root")) == nil {
          tables.append(MountTable(parsing: text("/proc/1/mountinfo") ?? []))
          roots.append(nil)
          continue
        }
        try scanMounts(pid)
        if name != own { try scanProcess(pid) }
        try scanThreads(pid, isOwn: name == own)
      } catch {
        if !SystemScan.isGone(error) {
          unknown.append("process \(pid) cannot be examined: \(error.code)")
        }
      }
    }
  }

  private func name(_ pid: String) -> String {
    let command = (text("/proc/\(pid)/comm") ?? []).filter { $0 != 0x0a }
    return "process \(pid) (\(printable(command)))"
  }

  private mutating func scanProcess(_ pid: String) throws(SystemError) {
    let who = name(pid)
    try scanLinks(
      pid, who, [("root", "its root"), ("cwd", "its working directory"), ("exe", "its program")])
    try scanDescriptors(pid, who)
    scanMaps(pid, who)
  }

  /// Records the directories and the program that a process or a thread uses.
  /// - Parameter task: "PID" for a process, "PID/task/TID" for a thread.
  private mutating func scanLinks(
    _ task: String, _ who: String, _ links: [(name: String, what: String)]
  ) throws(SystemError) {
    for (name, what) in links {
      do throws(SystemError) {
        if let found = try stat("/proc/\(task)/\(name)") {
          add(InodeID(found), "\(who) has \(what) in it")
        }
      } catch {
        if !SystemScan.isGone(error) { throw error }
      }
    }
  }

  /// Scans the threads of a process. They may have their own root, working directory and mounts (unshare(2)).
  private mutating func scanThreads(_ pid: String, isOwn: Bool) throws(SystemError) {
    let directory = try? files.openDirectory(
      at: files.workingDirectory, Array("/proc/\(pid)/task".utf8))
    guard let directory, let threads = try? files.names(of: directory.raw), threads.count > 1 else {
      return
    }
    var who: String?
    for thread in threads where thread != Array(pid.utf8) {
      let task = "\(pid)/task/\(String(decoding: thread, as: UTF8.self))"
      do throws(SystemError) {
        try scanMounts(task)
        if isOwn { continue }
        who = who ?? name(pid)
        try scanLinks(
          task, who ?? pid, [("root", "its root"), ("cwd", "its working directory")])
      } catch {
        if !SystemScan.isGone(error) { throw error }
      }
    }
  }

  private mutating func add(_ inode: InodeID, _ user: String) {
    if inodes[inode] == nil { inodes[inode] = user }
  }

  private mutating func scanDescriptors(_ pid: String, _ who: String) throws(SystemError) {
    let directory: Descriptor
    do throws(SystemError) {
      directory = try files.openDirectory(
        at: files.workingDirectory, Array("/proc/\(pid)/fd".utf8))
    } catch {
      if SystemScan.isGone(error) { return }
      throw error
    }
    for name in (try? files.names(of: directory.raw)) ?? [] {
      guard let target = try? files.readLink(at: directory.raw, name) else { continue }
      if target.first == 0x2f {
        if isInside(target, tree) { paths.append((target, "\(who) has open files in it")) }
        if let found = try? files.stat(at: directory.raw, name, followLink: true) {
          add(InodeID(found), "\(who) has open files in it")
        }
      } else if target.starts(with: Array("socket:".utf8)) {
        // A descriptor that was sent but not yet received is in no process's descriptor table.
        let info = text("/proc/\(pid)/fdinfo/\(String(decoding: name, as: UTF8.self))") ?? []
        for line in info.split(separator: 0x0a) where line.starts(with: Array("scm_fds:".utf8)) {
          let count = line.dropFirst(8).filter { $0 != 0x20 && $0 != 0x09 }
          if !count.elementsEqual([0x30]) {
            unknown.append("\(who) is passing descriptors to another process")
          }
        }
      }
    }
  }

  private mutating func scanMaps(_ pid: String, _ who: String) {
    for line in (text("/proc/\(pid)/maps") ?? []).split(separator: 0x0a) {
      // ADDRESSES PERMISSIONS OFFSET MAJOR:MINOR INODE PATH
      let fields = line.split(separator: 0x20, maxSplits: 5)
      guard fields.count >= 5,
        let number = UInt64(String(decoding: fields[4], as: UTF8.self)), number != 0
      else { continue }
      let parts = fields[3].split(separator: 0x3a).map { String(decoding: $0, as: UTF8.self) }
      guard parts.count == 2, let major = UInt64(parts[0], radix: 16),
        let minor = UInt64(parts[1], radix: 16)
      else { continue }
      let user = "\(who) has mapped files in it"
      add(InodeID(device: deviceNumber(major, minor), number: number), user)
      if major == 0, mappedNumbers[number] == nil {
        let range = String(decoding: fields[0], as: UTF8.self)
        mappedNumbers[number] = (user, "/proc/\(pid)/map_files/\(range)")
      }
    }
  }

  /// Returns the inode of a mapping; nil if the kernel denies access to it.
  func inode(ofMapping path: String) -> InodeID? {
    (try? stat(path)).flatMap { $0.map(InodeID.init) }
  }

  // MARK: Mounts and networks

  private mutating func scanMounts(_ task: String) throws(SystemError) {
    guard let mounts = try stat("/proc/\(task)/ns/mnt"), let root = try stat("/proc/\(task)/root")
    else { return }
    // A process sees only the mounts below its own root.
    if namespaces.insert([mounts.inode, root.device, root.inode]).inserted,
      let text = text("/proc/\(task)/mountinfo"), !text.isEmpty
    {
      tables.append(MountTable(parsing: text))
      roots.append("/proc/\(task)/root")
    }
    if let network = try stat("/proc/\(task)/ns/net"), networks.insert(network.inode).inserted {
      for line in (text("/proc/\(task)/net/unix") ?? []).split(separator: 0x0a).dropFirst() {
        let fields = line.split(separator: 0x20, maxSplits: 7)
        // A name that begins with "@" is in no file system. Other names may be relative.
        if fields.count == 8, fields[7].first != 0x40 { sockets.insert(Array(fields[7])) }
      }
    }
  }

  /// Returns the path to the root of the processes whose mounts are `tables[table]`; nil if it is not
  /// accessible.
  func root(of table: Int) -> [UInt8]? { roots[table].map { Array($0.utf8) } }

  /// Returns whether a path below a root is a directory that is not empty.
  func isFilled(_ root: [UInt8]?, _ path: [UInt8]) -> Bool {
    guard let root, path.first == 0x2f,
      let directory = try? files.openDirectory(
        at: files.workingDirectory, root + path, followLink: true)
    else { return false }
    return (try? files.names(of: directory.raw).isEmpty) == false
  }

  /// Returns whether the scan has covered a mount namespace.
  func knowsNamespace(_ inode: UInt64) -> Bool { namespaces.contains { $0.first == inode } }

  // MARK: The kernel

  private mutating func scanKernel() {
    if let block = try? files.openDirectory(
      at: files.workingDirectory, Array("/sys/block".utf8))
    {
      for name in (try? files.names(of: block.raw)) ?? []
      where name.starts(with: Array("loop".utf8)) {
        let device = String(decoding: name, as: UTF8.self)
        guard let text = text("/sys/block/\(device)/loop/backing_file") else { continue }
        addPath(text.filter { $0 != 0x0a }, "the loop device \(device) is backed by a file in it")
      }
    }
    for line in (text("/proc/swaps") ?? []).split(separator: 0x0a).dropFirst() {
      guard let path = line.split(whereSeparator: { $0 == 0x20 || $0 == 0x09 }).first else {
        continue
      }
      addPath(unescapedOctal(path), "a file in it is a swap area")
    }
  }

  private mutating func addPath(_ path: [UInt8], _ user: String) {
    paths.append((path, user))
    if let found = try? files.stat(at: files.workingDirectory, path, followLink: true) {
      add(InodeID(found), user)
    }
  }
}

/// Returns a device number as stat(2) reports it (makedev(3)).
func deviceNumber(_ major: UInt64, _ minor: UInt64) -> UInt64 {
  (major & 0xffff_f000) << 32 | (major & 0xfff) << 8 | (minor & 0xffff_ff00) << 12 | minor & 0xff
}
