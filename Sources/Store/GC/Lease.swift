// Leases: how gc knows that no running command depends on a pack that it will delete.
//
// Every open store holds a lease, taken before it reads the packs: a shared lock (`flock`) on one of two
// files, locks/lease-0 and locks/lease-1. The phase says which of the two files new stores use. It is the
// name of the empty file locks/phase-0 or locks/phase-1.
//
//     collector:  doom packs ─▶ advance the phase ─▶ wait until nobody holds the other file ─▶ delete
//
// 1. A store with a lease of the current phase read the packs after the last advance, so after everything
//    before that advance was doomed. (It reads the phase, locks, and reads the phase again. If the phase
//    has changed in between, it unlocks and repeats.)
// 2. A store with a lease of the other phase may depend on packs that were doomed since. gc waits for it.
// 3. Before an advance the other file is free, so later holders belong to the current phase only.
// 4. Locks end with their process. Clocks only decide when to stop waiting, after which nothing is deleted.
// 5. An advance is a rename within a directory, which needs no space on a full disk.

import Glibc
import Platform

/// Shows, while it lives, that a command depends on the packs that existed when it was taken.
final class Lease: Sendable {
  /// Nil in a read-only store whose lease files cannot be opened.
  private let lock: FileLock?

  private init(_ lock: FileLock?) { self.lock = lock }

  /// The lease of a store that relies on no objects.
  static let none = Lease(nil)

  /// Takes a lease of the current phase.
  static func take(_ layout: Layout) throws(StoreError) -> Lease {
    try mapSystemErrors("the store's leases") { () throws(SystemError) in
      while true {
        let phase = try LeasePhase.current(layout)
        let lock = try layout.lock(phase.leaseName, exclusive: false)
        if try LeasePhase.current(layout) == phase { return Lease(lock) }
      }
    }
  }
}

/// The lease file that new stores use.
enum LeasePhase {
  case zero
  case one

  var leaseName: [UInt8] { Array("lease-\(self == .zero ? 0 : 1)".utf8) }
  private var flagName: [UInt8] { Array("phase-\(self == .zero ? 0 : 1)".utf8) }
  var other: LeasePhase { self == .zero ? .one : .zero }

  static func current(_ layout: Layout) throws(SystemError) -> LeasePhase {
    let flag = try layout.fileSystem.statIfPresent(at: layout.locks.raw, one.flagName)
    return flag == nil ? .zero : .one
  }

  /// Returns true if the lease files can be opened for writing.
  static func canWrite(_ fileSystem: any FileSystem, _ locks: Descriptor) -> Bool {
    do throws(SystemError) {
      _ = try fileSystem.openFile(
        at: locks.raw, zero.leaseName, [.readWrite, .create, .noFollow, .nonBlocking])
      return true
    } catch {
      return !error.isReadOnly
    }
  }

  /// Creates the file whose name is the phase, so that an advance needs no space.
  static func prepare(_ fileSystem: any FileSystem, _ locks: Descriptor) throws(SystemError) {
    _ = try fileSystem.openFile(
      at: locks.raw, zero.flagName, [.write, .create, .noFollow, .nonBlocking])
  }

  /// Makes `other` the current phase. The caller holds locks/gc.
  fileprivate func advance(_ layout: Layout) throws(SystemError) {
    let fileSystem = layout.fileSystem
    do throws(SystemError) {
      try fileSystem.rename(
        at: layout.locks.raw, flagName, to: layout.locks.raw, other.flagName, exclusively: false)
    } catch {
      // The directory's content may be deleted at any time. Phase zero has no file then.
      guard error.code == .notFound, self == .zero else { throw error }
      _ = try fileSystem.openFile(
        at: layout.locks.raw, other.flagName, [.write, .create, .noFollow, .nonBlocking])
    }
  }
}

/// Waits for commands that may depend on doomed packs.
struct QuiescenceWait {
  let store: ObjectStore
  /// When to stop waiting, in seconds of the monotonic clock.
  let deadline: Double
  /// Receives a line, once, with the processes that it waits for.
  let report: (String) -> Void

  enum Outcome {
    case finished
    /// Some processes still hold leases, so nothing may be deleted yet.
    case timedOut(holders: [String])
  }

  /// Waits for both phases. The caller holds locks/gc, and has doomed everything that it will delete.
  func waitForBothPhases() throws(StoreError) -> Outcome {
    let layout = store.layout
    let phase = try mapSystemError("the store's leases", try LeasePhase.current(layout))
    if let holders = try wait(for: phase.other) { return .timedOut(holders: holders) }
    try mapSystemErrors("the store's leases") { () throws(SystemError) in try phase.advance(layout)
    }
    try store.renewLease()
    if let holders = try wait(for: phase) { return .timedOut(holders: holders) }
    return .finished
  }

  /// Waits for a phase; returns the processes that still hold it at the deadline, or nil if there are none.
  private func wait(for phase: LeasePhase) throws(StoreError) -> [String]? {
    let layout = store.layout
    var isReported = false
    var pause: UInt32 = 1000
    while true {
      let lock = try mapSystemError("the store's leases", try layout.lockIfFree(phase.leaseName))
      if lock != nil { return nil }
      let isLate = monotonicSeconds() >= deadline
      if isLate || (!isReported && pause > 100_000) {
        let holders = FileLock.holders(layout.fileSystem, at: layout.locks.raw, phase.leaseName)
        if isLate { return holders }
        isReported = true
        report(
          "waiting for imgstore commands that started earlier: "
            + (holders.isEmpty ? "unknown" : holders.joined(separator: ", ")))
      }
      usleep(pause)
      pause = min(pause * 2, 200_000)
    }
  }
}
