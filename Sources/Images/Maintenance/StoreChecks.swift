// The checks of `doctor` about the store: place, rights, space, leftovers, damage, and the last work on it.

import Platform
import Store

/// Checks the store.
struct StoreChecks: Collaborator {
  let context: Context
  /// Below this, a snapshot of one update may not fit.
  static let minFreeBytes: UInt64 = 1 << 30
  static let minFreeNodes: UInt64 = 1000
  /// The time after which a nightly job must have run.
  static let maintenanceSeconds: Int64 = 2 * 86_400
  /// The time after which the store should have been verified.
  static let verificationSeconds: Int64 = 30 * 86_400

  private var name: String { "store \(printable(context.storePath))" }

  func absent() throws -> [DoctorFinding] {
    do { try StoreCreation(context).requireStoreMayBeMade() } catch let error as ImageError {
      return [DoctorFinding("store", error)]
    }
    let path = printable(context.storePath)
    return [
      DoctorFinding(
        "store", "store \(path)", "does not exist",
        hint:
          "'imgstore init \(shellQuoted(path))' creates it; another one is named by 'store' in the configuration"
      )
    ]
  }

  func access(_ store: ObjectStore) -> [DoctorFinding] {
    guard store.layout.isReadOnly else { return [] }
    return [
      DoctorFinding(
        "store-access", name, "cannot be written",
        hint: "Mount its file system writable, or run imgstore as its owner")
    ]
  }

  func freeSpace(_ store: ObjectStore) throws -> [DoctorFinding] {
    let root = store.layout.root.raw
    let free = try context.fileSystem.freeBytes(root)
    if free < Self.minFreeBytes {
      return [
        DoctorFinding(
          "free-space", name, "has \(free >> 20) MiB of free space",
          hint: "Set retention rules in the configuration, and run 'imgstore gc'")
      ]
    }
    // File systems without a fixed number of inodes report 0.
    let nodes = try context.fileSystem.freeNodes(root)
    guard nodes > 0, nodes < Self.minFreeNodes else { return [] }
    return [
      DoctorFinding(
        "free-space", name, "has \(nodes) free inodes",
        hint: "Remove small files from its file system")
    ]
  }

  func leftovers(_ store: ObjectStore) throws -> [DoctorFinding] {
    var findings: [DoctorFinding] = []
    let unfinished = try store.unfinishedBytes()
    if unfinished > 0 {
      findings.append(
        DoctorFinding(
          "leftovers", isProblem: false, name,
          "has \(unfinished) bytes of files that killed commands left",
          hint: "'imgstore gc' removes them"))
    }
    let quarantine = try? context.fileSystem.openDirectory(
      at: store.layout.root.raw, Array("quarantine".utf8))
    let count = try quarantine.map { try context.fileSystem.names(of: $0.raw).count } ?? 0
    if count > 0 {
      findings.append(
        DoctorFinding(
          "leftovers", isProblem: false, "\(printable(store.layout.path))/quarantine",
          "has \(count) damaged or unexpected files that repairs moved there",
          hint: "Remove them when 'imgstore verify --deep' finds no problem"))
    }
    return findings
  }

  func damage(_ store: ObjectStore) throws -> [DoctorFinding] {
    var findings: [DoctorFinding] = []
    let unreadable = try SpaceReporter(context).statistics().unreadable
    if let first = unreadable.first {
      findings.append(
        DoctorFinding(
          "damage", "snapshot \(first.name)",
          first.reason + (unreadable.count > 1 ? " (and \(unreadable.count - 1) more)" : ""),
          hint: "'imgstore verify' lists what is affected; 'imgstore repair' may help"))
    }
    for image in try store.refs.everyImage() {
      findings += try store.refs.damagedMarks(of: image).map {
        DoctorFinding("damage", $0.object, $0.reason, hint: $0.hint)
      }
    }
    return findings
  }

  func verification(_ store: ObjectStore) -> [DoctorFinding] {
    let record = store.maintenanceRecord
    if let problems = record.problems, problems > 0 {
      return [
        DoctorFinding(
          "verification", name, "had \(problems) problems when it was last verified",
          hint: "'imgstore verify' lists them; 'imgstore repair' may help")
      ]
    }
    let age = record.verified.map { context.now().seconds - $0 }
    guard age.map({ $0 > Self.verificationSeconds }) ?? true else { return [] }
    return [
      DoctorFinding(
        "verification", isProblem: false, name,
        age == nil ? "was never verified" : "was last verified more than 30 days ago",
        hint:
          "'imgstore verify --max-time 1h' reads the packs that were checked the longest time ago")
    ]
  }

  func maintenance(_ store: ObjectStore) throws -> [DoctorFinding] {
    let run = store.maintenanceRecord.run
    if let run, context.now().seconds - run.ended <= Self.maintenanceSeconds {
      guard run.exitStatus != 0 else { return [] }
      return [
        DoctorFinding(
          "maintenance", isProblem: false, "the last 'imgstore maintain'",
          "ended with code \(run.exitStatus)",
          hint: "'imgstore maintain' repeats it and lists the problems")
      ]
    }
    let when =
      run.map { "last ran \(localTime($0.ended, "%Y-%m-%d %H:%M"))" } ?? "has never run"
    return [
      DoctorFinding(
        "maintenance", "'imgstore maintain'",
        when
          + (try isTimerEnabled()
            ? ", although its timer is enabled" : ", and its timer is not enabled"),
        hint: "Enable it with 'systemctl enable --now imgstore-maintain.timer', or run it from cron"
      )
    ]
  }

  /// Returns whether systemd starts the timer (systemctl(1), enable).
  private func isTimerEnabled() throws -> Bool {
    for directory in ["/etc/systemd/system", "/usr/lib/systemd/system"] {
      guard
        let path = AbsolutePath(
          "\(directory)/timers.target.wants/imgstore-maintain.timer")
      else { continue }
      do throws(SystemError) {
        let location = try context.resolver.resolve(path, followLast: false)
        if try context.fileSystem.statIfPresent(at: location.directory.raw, location.name) != nil {
          return true
        }
      } catch { if !error.isAbsent { throw error } }
    }
    return false
  }
}
