// imgstore doctor: what is wrong with the installation, the store, the tables, the configuration and the
// images, and how to repair it.
//
// 1. It changes nothing, and reads no image. `verify` checks the data of the store.
// 2. A check that fails with an error is a finding, and the others still run.

import Platform
import Settings
import Store
import XCAT

/// Something that is wrong.
public struct DoctorFinding: Sendable {
  /// The name of the check, which is stable: "store", "free-space", "image-missing".
  public let check: String
  /// Whether it needs attention. A finding without it is advice.
  public let isProblem: Bool
  public let subject: String
  /// The reason, as a clause about the subject.
  public let reason: String
  /// How to repair it.
  public let hint: String
  /// The subject and the reason, on one line.
  public let message: String

  init(
    _ check: String, isProblem: Bool = true, _ subject: String, _ reason: String, hint: String = ""
  ) {
    (self.check, self.isProblem) = (check, isProblem)
    (self.subject, self.reason, self.hint) = (subject, reason, hint)
    message = "\(subject) \(reason)"
  }

  init(_ check: String, _ error: any ExplainedError) {
    (self.check, isProblem) = (check, true)
    (subject, reason, hint) = (error.subject, error.reason, error.hint)
    message = error.message
  }
}

/// The findings of `doctor`.
public struct DoctorReport: Sendable {
  /// The names of the checks that ran.
  public internal(set) var checks: [String] = []
  public internal(set) var findings: [DoctorFinding] = []
  /// Whether a finding needs attention.
  public var hasProblems: Bool { findings.contains(where: \.isProblem) }
}

extension Workspace {
  /// Checks the installation, the store, the tables, the configuration and the images.
  /// - Parameter errors: the errors of the configuration files, which are findings, too.
  public func doctor(configurationErrors errors: [ConfigurationError] = []) -> DoctorReport {
    Doctor(context).examine(errors)
  }
}

/// Examines a management node.
struct Doctor: Collaborator {
  let context: Context

  func examine(_ errors: [ConfigurationError]) -> DoctorReport {
    var report = DoctorReport()
    func check(_ name: String, _ find: () throws -> [DoctorFinding]) {
      report.checks.append(name)
      do { report.findings += try find() } catch {
        report.findings.append(
          (error as? any ExplainedError).map { DoctorFinding(name, $0) }
            ?? DoctorFinding(name, "the check '\(name)'", "failed: \(error)"))
      }
    }
    check("config") { errors.map { DoctorFinding("config", $0) } }
    let installation = InstallationChecks(context)
    check("proc", installation.proc)
    check("clock", installation.clock)
    check("hooks") { installation.hooks() }
    check("metrics", installation.metrics)
    check("tables", installation.tables)
    check("store") {
      guard context.absentStore == nil else { return try StoreChecks(context).absent() }
      _ = try context.store()
      return []
    }
    let store: ObjectStore? = context.absentStore == nil ? try? context.store() : nil
    guard let store else { return report }
    let checks = StoreChecks(context)
    check("store-access") { checks.access(store) }
    check("free-space") { try checks.freeSpace(store) }
    check("leftovers") { try checks.leftovers(store) }
    check("damage") { try checks.damage(store) }
    check("verification") { checks.verification(store) }
    check("maintenance") { try checks.maintenance(store) }
    let images = (try? ImageLister(context).images()) ?? []
    let imageChecks = ImageChecks(context)
    check("images") { try imageChecks.images(images) }
    check("standby") { try StandbyChecks(context).standby(images) }
    check("config-patterns") { imageChecks.patterns(images) }
    return report
  }
}
