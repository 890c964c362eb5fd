// A file system in which the n-th operation fails: only that one, or that one and all after it. The
// second resembles a crash as seen from outside: everything before it is done, nothing after it.
// Alternatively all operations of one name fail, or the n-th of them: a disk on which no sync, or
// not every sync, succeeds.
//
// Operations on /proc/PID always work and do not count: how many there are depends on the processes of the
// machine.

import Glibc
import Platform
import Testing

/// The kernel's file system, with a fault planted.
public final class FaultyFileSystem: FileSystem {
  public enum Fault: Sendable, CustomTestStringConvertible {
    /// Operation n fails with this error; later operations work.
    case once(SystemError.Code)
    /// From operation n on, everything fails.
    case forGood
    /// Every operation of this name fails, whatever the number.
    case always(String, SystemError.Code)
    /// The n-th operation of this name, from 0, fails.
    case nth(Int, String, SystemError.Code)
    /// Runs the closure before the n-th operation of this name, from 0: another process that writes at
    /// the worst moment. Nothing fails.
    case before(Int, String, @Sendable () -> Void)
    /// Runs the closure before the n-th operation of this name, from 0, which succeeds. All later operations
    /// fail, as after a crash.
    case crash(after: Int, String, @Sendable () -> Void)

    public var testDescription: String {
      switch self {
      case .once(let code): "one operation fails: \(code)"
      case .forGood: "an operation and all after it fail"
      case .always(let name, let code): "every \(name) fails: \(code)"
      case .nth(let n, let name, let code): "\(name) \(n) fails: \(code)"
      case .before(let n, let name, _): "another process acts before \(name) \(n)"
      case .crash(let n, let name, _): "a crash after \(name) \(n)"
      }
    }
  }

  private let kernel = KernelFileSystem.shared
  private let operation: Int
  private let fault: Fault
  private let isOldKernel: Bool
  private let failingStats: [[UInt8]: SystemError.Code]
  private let failingOpens: [[UInt8]: SystemError.Code]
  private let lateDataBytes: UInt64
  private let trace: FileTrace?
  private let pending: Monitor<[[UInt8]: @Sendable () -> Void]>
  private let state = Monitor((count: 0, ofName: 0, isHit: false))

  /// - Parameters:
  ///   - isOldKernel: `stat` reports neither mount ids nor mount roots nor inode flags.
  ///   - failingStats: entries, by their names, that cannot be examined.
  ///   - failingOpens: entries, by their names, that cannot be opened.
  ///   - lateDataBytes: data is reported to begin so many bytes late.
  ///   - beforeOpening: actions that run once, just before a name is opened.
  ///   - trace: records the operations that change files, make them durable or list directories.
  public init(
    failing operation: Int = -1, _ fault: Fault = .once(.inputOutput), isOldKernel: Bool = false,
    failingStats: [String: SystemError.Code] = [:],
    failingOpens: [String: SystemError.Code] = [:], lateDataBytes: UInt64 = 0,
    beforeOpening: [String: @Sendable () -> Void] = [:], trace: FileTrace? = nil
  ) {
    self.trace = trace
    self.lateDataBytes = lateDataBytes
    pending = Monitor(
      Dictionary(uniqueKeysWithValues: beforeOpening.map { (Array($0.key.utf8), $0.value) }))
    self.operation = operation
    self.fault = fault
    self.isOldKernel = isOldKernel
    self.failingStats = Dictionary(
      uniqueKeysWithValues: failingStats.map { (Array($0.key.utf8), $0.value) })
    self.failingOpens = Dictionary(
      uniqueKeysWithValues: failingOpens.map { (Array($0.key.utf8), $0.value) })
  }

  /// The operation was reached.
  public var isHit: Bool { state.withLock { $0.isHit } }

  private func tick(_ name: String) throws(SystemError) {
    let number = state.withLock { state in
      defer { state.count += 1 }
      if state.count == operation { state.isHit = true }
      return state.count
    }
    switch fault {
    case .once(let code): if number == operation { throw SystemError(code: code, name, []) }
    case .forGood:
      if number >= operation { throw SystemError(code: .inputOutput, name, []) }
    case .always(let which, let code):
      guard name == which else { return }
      state.withLock { $0.isHit = true }
      throw SystemError(code: code, name, [])
    case .nth(let n, let which, let code):
      guard name == which else { return }
      let isIt = state.withLock { state in
        defer { state.ofName += 1 }
        if state.ofName == n { state.isHit = true }
        return state.ofName == n
      }
      if isIt { throw SystemError(code: code, name, []) }
    case .before(let n, let which, let action):
      guard name == which else { return }
      let isIt = state.withLock { state in
        defer { state.ofName += 1 }
        if state.ofName == n { state.isHit = true }
        return state.ofName == n
      }
      if isIt { action() }
    case .crash(let n, let which, let action):
      let (isIt, isDown) = state.withLock { state in
        let isDown = state.isHit
        guard name == which else { return (false, isDown) }
        defer { state.ofName += 1 }
        if state.ofName == n { state.isHit = true }
        return (state.ofName == n, isDown)
      }
      if isDown { throw SystemError(code: .inputOutput, name, []) }
      if isIt { action() }
    }
  }

  public func close(_ file: Int32) {
    processes.withLock { _ = $0.remove(file) }
    kernel.close(file)
  }

  /// The open files and directories below /proc/PID.
  private let processes = Monitor<Set<Int32>>([])

  private func isOfProcess(_ file: Int32, _ path: [UInt8] = []) -> Bool {
    let proc = Array("/proc/".utf8)
    if path.first == 0x2f {
      let name = path.dropFirst(proc.count).prefix { $0 != 0x2f }
      return path.starts(with: proc)
        && (name.elementsEqual("self".utf8) || name.allSatisfy { (0x30...0x39).contains($0) })
    }
    return processes.withLock { $0.contains(file) }
  }
  public func setDirect(_ file: Int32, _ isDirect: Bool) -> Bool {
    kernel.setDirect(file, isDirect)
  }
  public func startSync(_ file: Int32, offset: UInt64, count: UInt64) {}
  public func writeBack(_ file: Int32, offset: UInt64, count: UInt64) {}

  public func open(at directory: Int32, _ path: [UInt8], _ flags: OpenFlags, mode: UInt16)
    throws(SystemError) -> Int32
  {
    if isOfProcess(directory, path) {
      let file = try kernel.open(at: directory, path, flags, mode: mode)
      processes.withLock { _ = $0.insert(file) }
      return file
    }
    try tick("open")
    if flags.contains(.create) { trace?.add("create", at: directory, path) }
    pending.withLock { $0.removeValue(forKey: path) }?()
    if let code = failingOpens[path] { throw SystemError(code: code, "open", path) }
    return try kernel.open(at: directory, path, flags, mode: mode)
  }

  public func read(_ file: Int32, into target: UnsafeMutableRawBufferPointer) throws(SystemError)
    -> Int
  {
    if !isOfProcess(file) { try tick("read") }
    return try kernel.read(file, into: target)
  }

  public func read(_ file: Int32, at offset: UInt64, into target: UnsafeMutableRawBufferPointer)
    throws(SystemError) -> Int
  {
    try tick("read")
    return try kernel.read(file, at: offset, into: target)
  }

  public func write(_ file: Int32, _ bytes: UnsafeRawBufferPointer) throws(SystemError) {
    try tick("write")
    trace?.add("write", file)
    try kernel.write(file, bytes)
  }

  public func write(_ file: Int32, at offset: UInt64, _ bytes: UnsafeRawBufferPointer)
    throws(SystemError)
  {
    try tick("write")
    trace?.add("write", file)
    try kernel.write(file, at: offset, bytes)
  }

  public func sync(_ file: Int32) throws(SystemError) {
    try tick("sync")
    try kernel.sync(file)
    trace?.add("sync", file)
  }

  public func syncFileSystem(of file: Int32) throws(SystemError) {
    try tick("syncFileSystem")
    try kernel.syncFileSystem(of: file)
    if let trace {
      // On a fast disk, a sync in the background would end before a step that must not wait for it.
      usleep(100_000)
      trace.add("syncFileSystem", file)
    }
  }

  public func truncate(_ file: Int32, to sizeBytes: UInt64) throws(SystemError) {
    try tick("truncate")
    trace?.add("truncate", file)
    try kernel.truncate(file, to: sizeBytes)
  }

  public func nextData(_ file: Int32, from offset: UInt64) throws(SystemError) -> UInt64? {
    try tick("nextData")
    return try kernel.nextData(file, from: offset).map { $0 + lateDataBytes }
  }

  public func nextHole(_ file: Int32, from offset: UInt64) throws(SystemError) -> UInt64 {
    try tick("nextHole")
    return try kernel.nextHole(file, from: offset)
  }

  public func names(of directory: Int32) throws(SystemError) -> [[UInt8]] {
    if !isOfProcess(directory) {
      try tick("names")
      trace?.add("names", directory)
    }
    return try kernel.names(of: directory)
  }

  public func kinds(of directory: Int32) throws(SystemError) -> [[UInt8]: FileKind] {
    try kernel.kinds(of: directory)
  }

  public func fileSystemType(_ file: Int32) -> UInt64 { kernel.fileSystemType(file) }

  public func isReadOnlySnapshot(_ directory: Int32) -> Bool {
    kernel.isReadOnlySnapshot(directory)
  }

  public func isInReadOnlySubvolume(_ file: Int32) -> Bool { kernel.isInReadOnlySubvolume(file) }

  public func uncovered(_ directory: Int32) throws(SystemError) -> Int32? {
    try tick("uncovered")
    return isOldKernel ? nil : try kernel.uncovered(directory)
  }

  public func stat(at directory: Int32, _ path: [UInt8], followLink: Bool) throws(SystemError)
    -> FileStat
  {
    if !isOfProcess(directory, path) { try tick("stat") }
    if let code = failingStats[path] { throw SystemError(code: code, "stat", path) }
    return seen(try kernel.stat(at: directory, path, followLink: followLink))
  }

  public func stat(_ file: Int32) throws(SystemError) -> FileStat {
    if !isOfProcess(file) { try tick("stat") }
    return seen(try kernel.stat(file))
  }

  /// Reports as a kernel before 5.8 does, if requested.
  private func seen(_ stat: FileStat) -> FileStat {
    guard isOldKernel else { return stat }
    var stat = stat
    stat.isMountRoot = false
    stat.mountID = nil
    stat.flags = []
    stat.reportsFlags = false
    return stat
  }

  public func rename(
    at fromDirectory: Int32, _ from: [UInt8], to toDirectory: Int32, _ to: [UInt8],
    exclusively: Bool
  ) throws(SystemError) {
    try tick("rename")
    trace?.add("rename", at: toDirectory, to)
    try kernel.rename(at: fromDirectory, from, to: toDirectory, to, exclusively: exclusively)
  }

  public func exchange(
    at directory: Int32, _ name: [UInt8], with otherDirectory: Int32, _ other: [UInt8]
  ) throws(SystemError) {
    try tick("exchange")
    trace?.add("exchange", at: otherDirectory, other)
    try kernel.exchange(at: directory, name, with: otherDirectory, other)
  }

  public func clone(_ from: Int32, into file: Int32) throws(SystemError) {
    try tick("clone")
    try kernel.clone(from, into: file)
  }

  public func canClone(in directory: Int32) -> Bool { kernel.canClone(in: directory) }
  public func exclusiveBytes(_ file: Int32) -> UInt64? { kernel.exclusiveBytes(file) }

  public func link(at fromDirectory: Int32, _ from: [UInt8], to toDirectory: Int32, _ to: [UInt8])
    throws(SystemError)
  {
    try tick("link")
    trace?.add("link", at: toDirectory, to)
    try kernel.link(at: fromDirectory, from, to: toDirectory, to)
  }

  public func link(open file: Int32, to directory: Int32, _ name: [UInt8]) throws(SystemError) {
    try tick("link")
    trace?.add("link", at: directory, name)
    try kernel.link(open: file, to: directory, name)
  }

  public func remove(at directory: Int32, _ path: [UInt8], isDirectory: Bool) throws(SystemError) {
    try tick("remove")
    trace?.add("remove", at: directory, path)
    try kernel.remove(at: directory, path, isDirectory: isDirectory)
  }

  public func makeDirectory(at directory: Int32, _ path: [UInt8], mode: UInt16) throws(SystemError)
  {
    try tick("makeDirectory")
    trace?.add("makeDirectory", at: directory, path)
    try kernel.makeDirectory(at: directory, path, mode: mode)
  }

  public func makeSymlink(at directory: Int32, _ path: [UInt8], target: [UInt8]) throws(SystemError)
  {
    try tick("makeSymlink")
    trace?.add("makeSymlink", at: directory, path)
    try kernel.makeSymlink(at: directory, path, target: target)
  }

  public func readLink(at directory: Int32, _ path: [UInt8]) throws(SystemError) -> [UInt8] {
    if !isOfProcess(directory, path) { try tick("readLink") }
    return try kernel.readLink(at: directory, path)
  }

  public func makeNode(
    at directory: Int32, _ path: [UInt8], kind: FileKind, mode: UInt16, device: DeviceNumber
  ) throws(SystemError) {
    try tick("makeNode")
    try kernel.makeNode(at: directory, path, kind: kind, mode: mode, device: device)
  }

  public func setOwner(at directory: Int32, _ path: [UInt8], uid: UInt32, gid: UInt32)
    throws(SystemError)
  {
    try tick("setOwner")
    try kernel.setOwner(at: directory, path, uid: uid, gid: gid)
  }

  public func setOwner(_ file: Int32, uid: UInt32, gid: UInt32) throws(SystemError) {
    try tick("setOwner")
    try kernel.setOwner(file, uid: uid, gid: gid)
  }

  public func setMode(at directory: Int32, _ path: [UInt8], _ mode: UInt16) throws(SystemError) {
    try tick("setMode")
    trace?.add("setMode", at: directory, path)
    try kernel.setMode(at: directory, path, mode)
  }

  public func setMode(_ file: Int32, _ mode: UInt16) throws(SystemError) {
    try tick("setMode")
    trace?.add("setMode", file)
    try kernel.setMode(file, mode)
  }

  public func setModified(at directory: Int32, _ path: [UInt8], _ time: Timestamp)
    throws(SystemError)
  {
    try tick("setModified")
    trace?.add("setModified", at: directory, path)
    try kernel.setModified(at: directory, path, time)
  }

  public func setModified(_ file: Int32, _ time: Timestamp) throws(SystemError) {
    try tick("setModified")
    trace?.add("setModified", file)
    try kernel.setModified(file, time)
  }

  public func inodeFlags(_ file: Int32) throws(SystemError) -> InodeFlags {
    try kernel.inodeFlags(file)
  }

  public func setInodeFlags(_ file: Int32, _ flags: InodeFlags) throws(SystemError) {
    try tick("flags")
    try kernel.setInodeFlags(file, flags)
  }

  public func unlock(_ file: Int32) { kernel.unlock(file) }

  public func lock(_ file: Int32, exclusive: Bool, wait: Bool) throws(SystemError) -> Bool {
    try tick("lock")
    return try kernel.lock(file, exclusive: exclusive, wait: wait)
  }

  public func lock(_ file: Int32, byte: UInt64, exclusive: Bool, wait: Bool) throws(SystemError)
    -> Bool
  {
    try tick("lock")
    return try kernel.lock(file, byte: byte, exclusive: exclusive, wait: wait)
  }

  public func xattrNames(at directory: Int32, _ path: [UInt8]) throws(SystemError) -> [[UInt8]] {
    try tick("xattrNames")
    return try kernel.xattrNames(at: directory, path)
  }

  public func xattr(at directory: Int32, _ path: [UInt8], name: [UInt8]) throws(SystemError)
    -> [UInt8]?
  {
    try tick("xattr")
    return try kernel.xattr(at: directory, path, name: name)
  }

  public func setXattr(at directory: Int32, _ path: [UInt8], name: [UInt8], value: [UInt8])
    throws(SystemError)
  {
    try tick("setXattr")
    try kernel.setXattr(at: directory, path, name: name, value: value)
  }

  public func removeXattr(at directory: Int32, _ path: [UInt8], name: [UInt8]) throws(SystemError) {
    try tick("removeXattr")
    try kernel.removeXattr(at: directory, path, name: name)
  }

  public func freeBytes(_ file: Int32) throws(SystemError) -> UInt64 {
    try tick("freeBytes")
    return try kernel.freeBytes(file)
  }
  public func freeNodes(_ file: Int32) throws(SystemError) -> UInt64 {
    try tick("freeNodes")
    return try kernel.freeNodes(file)
  }
  public func volume(of file: Int32) throws(SystemError) -> Volume {
    try tick("volume")
    return try kernel.volume(of: file)
  }
}
