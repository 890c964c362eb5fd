// The checks of `doctor` that need no store: the machine, the clock, the configuration and the tables.

import Platform
import Settings
import Store
import XCAT

/// Checks the installation.
struct InstallationChecks: Collaborator {
  let context: Context
  /// 2020-01-01: no snapshot of imgstore is older.
  private static let firstSeconds: Int64 = 1_577_836_800
  /// How far the clocks of two machines may differ.
  static let toleratedSeconds: Int64 = 3600

  func proc() throws -> [DoctorFinding] {
    let path = Array("/proc/self/fd".utf8)
    if try context.fileSystem.statIfPresent(
      at: context.fileSystem.workingDirectory, path, followLink: true) != nil
    {
      return []
    }
    return [
      DoctorFinding("proc", "/proc", "is not mounted", hint: "Mount it: 'mount -t proc proc /proc'")
    ]
  }

  func clock() throws -> [DoctorFinding] {
    let now = context.now().seconds
    if now < Self.firstSeconds {
      return [
        DoctorFinding(
          "clock", "the clock", "is set to \(localTime(now, "%Y-%m-%d"))",
          hint: "Set it, and let a time service such as chronyd keep it right")
      ]
    }
    guard let store = try? context.storeIfPresent() else { return [] }
    for image in try store.refs.images() {
      guard let latest = try store.refs.latestReadable(of: image),
        latest.snapshot.created.seconds > now + Self.toleratedSeconds
      else { continue }
      return [
        DoctorFinding(
          "clock", "snapshot \(latest.name)",
          "was taken in the future (\(localTime(latest.snapshot.created.seconds, "%Y-%m-%d %H:%M")))",
          hint:
            "Check the clock of this machine, and that of \(latest.snapshot.provenance.first { $0.key == "host" }?.value ?? "the one that took it")"
        )
      ]
    }
    return []
  }

  func hooks() -> [DoctorFinding] {
    var programs: [(program: String, origin: String)] = []
    for section in context.options.configuration.images {
      for hook in [section.settings.preSnapshot, section.settings.postSnapshot].compactMap(\.self) {
        guard let program = hook.value.first else { continue }
        programs.append((program, hook.origin.text))
      }
    }
    return programs.compactMap { program, origin in
      let stat = try? context.fileSystem.statIfPresent(
        at: context.fileSystem.workingDirectory, Array(program.utf8), followLink: true)
      guard let stat = stat ?? nil else {
        return DoctorFinding(
          "hooks", printable(program.utf8), "does not exist (\(origin))",
          hint: "Correct the path with 'imgstore config edit'")
      }
      if stat.kind == .file, stat.mode & 0o111 != 0 {
        return stat.isWritableByOthers
          ? DoctorFinding(
            "hooks", printable(program.utf8), "can be written by others (\(origin))",
            hint: "Run 'chmod go-w' on it: it runs as the user of imgstore") : nil
      }
      return DoctorFinding(
        "hooks", printable(program.utf8), "cannot be executed (\(origin))",
        hint: "Make it executable with 'chmod +x'")
    }
  }

  func metrics() throws -> [DoctorFinding] {
    guard let setting = context.options.configuration.maintenance.metrics else { return [] }
    let parent = absolute(setting.value + "/..")
    let stat = try context.fileSystem.statIfPresent(
      at: context.fileSystem.workingDirectory, Array(parent.utf8), followLink: true)
    if stat?.kind != .directory {
      return [
        DoctorFinding(
          "metrics", printable(parent.utf8), "is not a directory (\(setting.origin.text))",
          hint: "Create it, and pass it to node_exporter with --collector.textfile.directory")
      ]
    }
    return setting.value.hasSuffix(".prom")
      ? []
      : [
        DoctorFinding(
          "metrics", printable(setting.value.utf8),
          "does not end with .prom (\(setting.origin.text))",
          hint: "node_exporter reads only files with this suffix")
      ]
  }

  func tables() throws -> [DoctorFinding] {
    _ = try context.tables().definitions()
    return []
  }
}
