// The JSON forms of `maintain`, `doctor` and `config` (docs/json.md).

import Platform
import Settings
import Store

extension ConfigurationEditResult: JSONEnumeration {}
extension MaintainedAction: JSONEnumeration {}
extension MaintenanceResult: JSONEnumeration {}

extension MaintenanceOutcome: JSONDocument {
  public static let form = JSONForm<Self>(kind: "maintenance") { key in
    key("dryRun", \.isDryRun)
    key("result", \.result)
    key("images", \.images)
    key("pushes", \.pushes)
    key("collection", \.collection)
    key("optimization", \.optimization)
    key("verification") { $0.verification.map(Verification.init) }
    key("collectableBytes", \.collectableBytes)
    key("metrics", \.metrics)
    key("problems", \.problems)
    key("seconds", \.seconds)
  }

  private struct Verification: JSONObject {
    let report: VerifyReport

    static let form = JSONForm<Self>("Maintenance.Verification") { key in
      key("snapshots", \.report.snapshots)
      key("packs", \.report.packs)
      key("checkedBytes", \.report.checkedBytes)
      key("coverage", \.report.coverage)
      key("problemCount") { $0.report.problems.count }
    }
  }
}

extension MaintainedImage: JSONObject {
  public static let form = JSONForm<Self>("Maintenance.Image") { key in
    key("name", \.name)
    key("action", \.action)
    key("snapshot", \.snapshot)
    key("gaps", \.gaps)
    key("changed", \.isChanged)
    key("forgotten") { $0.forgotten.map { "\($0)" } }
    key("standby", \.standby)
    key("error") { $0.error.map(ErrorDetails.init) }
  }
}

extension MaintainedPush: JSONObject {
  public static let form = JSONForm<Self>("Maintenance.Push") { key in
    key("image", \.image)
    key("remote", \.remote)
    key("snapshots", \.snapshots)
    key("bytes", \.bytes)
  }
}

extension MaintenanceProblem: JSONObject {
  public static let form = JSONForm<Self>("Maintenance.Problem") { key in
    key("severity", \.severity)
    key("image", \.image)
    key("code", \.code)
    key("message", \.message)
  }
}

extension DoctorReport: JSONDocument {
  public static let form = JSONForm<Self>(kind: "doctor") { key in
    key("healthy") { !$0.hasProblems }
    key("checks", \.checks)
    key("findings", \.findings)
  }
}

extension DoctorFinding: JSONObject {
  public static let form = JSONForm<Self>("Doctor.Finding") { key in
    key("check", \.check)
    key("problem", \.isProblem)
    key("object", \.subject)
    key("finding", \.reason)
    key("advice", \.hint)
  }
}

extension ListedSetting: JSONObject {
  public static let form = JSONForm<Self>("Setting") { key in
    key("key", \.key)
    key("value", \.value)
    key("origin", \.origin.text)
  }
}

extension ConfigurationError: JSONObject {
  public static let form = JSONForm<Self>("Configuration.Problem") { key in
    key("file", \.path)
    key("line", \.line)
    key("code", \.errorCode)
    key("message", \.reason)
    key("advice", \.hint)
  }
}
