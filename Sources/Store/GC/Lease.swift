// Who relies on what: how a collector knows that nobody can miss what it is about to remove.
//
// Every open store holds a lease, taken before its first look at the packs: a shared lock
// (`flock`) on one of two files, locks/lease-0 and locks/lease-1. The phase, which is the name of
// the empty file locks/phase-0 or locks/phase-1, says which of the two newcomers take.
//
//     collector:  doom packs ─▶ turn the phase ─▶ wait until nobody holds the other file ─▶ remove
//
// 1. Whoever holds a lease of the current phase looked at the packs after the last turn, and so
//    after everything before that turn was doomed. (It reads the phase, locks, and reads the phase
//    again; if that has turned in between, it lets go and starts over.)
// 2. Whoever holds the other phase's may have relied on what was doomed since: it is waited for.
// 3. Before a turn the other file is free: who joins it then is of the current phase only.
// 4. Locks end with their process. Nothing here reads a clock but to give up waiting, which removes
//    nothing.
// 5. Turning is a rename within a folder: it needs no space on a full disk.

import Codec
import Glibc
import Platform

/// Shows, while it lives, that somebody relies on what the store had when it was taken.
final class Lease: Sendable {
  /// Nil in a store that cannot be written and whose lease files cannot be opened.
  private let lock: FileLock?

  private init(_ lock: FileLock?) { self.lock = lock }

  /// That of a store which relies on nothing.
  static let none = Lease(nil)

  static func take(_ layout: Layout) throws(StoreError) -> Lease {
    try explaining("the store's leases") { () throws(SystemError) in
      while true {
        let phase = try LeasePhase.current(layout)
        let lock = try layout.lock(phase.leaseName, exclusive: false)
        if try LeasePhase.current(layout) == phase { return Lease(lock) }
      }
    }
  }
}

/// Which of the two lease files newcomers take.
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

  /// Whether the lease files can be opened to be written.
  static func canWrite(_ fileSystem: any FileSystem, _ locks: Descriptor) -> Bool {
    do throws(SystemError) {
      _ = try fileSystem.openFile(
        at: locks.raw, zero.leaseName, [.readWrite, .create, .noFollow, .nonBlocking])
      return true
    } catch {
      return !error.isReadOnly
    }
  }

  /// Makes the file whose name is the phase, so that turning it needs no space.
  static func prepare(_ fileSystem: any FileSystem, _ locks: Descriptor) throws(SystemError) {
    _ = try fileSystem.openFile(
      at: locks.raw, zero.flagName, [.write, .create, .noFollow, .nonBlocking])
  }

  /// Makes `other` the phase of newcomers; the caller holds locks/gc.
  fileprivate func turn(_ layout: Layout) throws(SystemError) {
    let fileSystem = layout.fileSystem
    do throws(SystemError) {
      try fileSystem.rename(
        at: layout.locks.raw, flagName, to: layout.locks.raw, other.flagName, exclusively: false)
    } catch {
      // The folder's content may be deleted at any time: then phase zero has no file.
      guard error.code == .notFound, self == .zero else { throw error }
      _ = try fileSystem.openFile(
        at: layout.locks.raw, other.flagName, [.write, .create, .noFollow, .nonBlocking])
    }
  }
}

/// Waits for whoever may have relied on what is doomed.
struct QuiescenceWait {
  let store: ObjectStore
  /// On the monotonic clock: when to give up.
  let giveUpAt: Double
  /// Told once whom it waits for.
  let report: (String) -> Void

  enum Outcome {
    case over
    /// These still hold leases; nothing may be removed yet.
    case timedOut(holders: [String])
  }

  /// The caller holds locks/gc, and everything that it will remove is doomed.
  func pass() throws(StoreError) -> Outcome {
    let layout = store.layout
    let phase = try explaining("the store's leases") { () throws(SystemError) in
      try LeasePhase.current(layout)
    }
    if let holders = try wait(for: phase.other) { return .timedOut(holders: holders) }
    try explaining("the store's leases") { () throws(SystemError) in try phase.turn(layout) }
    try store.renewLease()
    if let holders = try wait(for: phase) { return .timedOut(holders: holders) }
    return .over
  }

  /// Who holds it still when the time is up; nil when nobody does.
  private func wait(for phase: LeasePhase) throws(StoreError) -> [String]? {
    let layout = store.layout
    var isReported = false
    var pause: UInt32 = 1000
    while true {
      let lock = try explaining("the store's leases") { () throws(SystemError) in
        try layout.lockIfFree(phase.leaseName)
      }
      if lock != nil { return nil }
      let isLate = monotonicSeconds() >= giveUpAt
      if isLate || (!isReported && pause > 100_000) {
        let holders = FileLock.holders(layout.fileSystem, at: layout.locks.raw, phase.leaseName)
        if isLate { return holders }
        isReported = true
        report(
          "waiting for imgstore commands that began before: "
            + (holders.isEmpty ? "unknown" : holders.joined(separator: ", ")))
      }
      usleep(pause)
      pause = min(pause * 2, 200_000)
    }
  }
}
