// The JSON form of `run` (docs/json.md).

import Images

struct RunJSON: JSONDocument {
  private let outcome: RunOutcome

  init(_ outcome: RunOutcome) { self.outcome = outcome }

  static let form = JSONForm<Self>(kind: "run") { key in
    key("image", \.outcome.image)
    key("command", \.outcome.command)
    key("exitCode") { Int($0.outcome.end.status.code) }
    key("signal") { json -> Int? in
      if case .signalled(let signal) = json.outcome.end.status { Int(signal) } else { nil }
    }
    key("ended", \.outcome.end.leftovers)
    key("before", \.outcome.before?.name)
    key("recorded", \.outcome.recorded?.name)
    key("diff") { json in
      json.outcome.comparison.map {
        DiffJSON($0.diff, packages: json.outcome.packages, lists: [])
      }
    }
    key("rollback") { json in
      json.outcome.rollback.map { RevertJSON(outcome: $0, boot: nil) }
    }
    key("seconds", \.outcome.seconds)
  }
}

/// The hooks of this management node.
struct HooksJSON: JSONDocument {
  struct Hook: JSONObject {
    let state: HookState

    static let form = JSONForm<Self>("Hook") { key in
      key("name", \.state.kind.rawValue)
      key("enabled", \.state.isEnabled)
      key("policy", \.state.policy?.rawValue)
      key("files", \.state.files)
    }
  }

  private let hooks: [Hook]

  init(_ states: [HookState]) { hooks = states.map(Hook.init) }

  static let form = JSONForm<Self>(kind: "hooks") { key in key("hooks", \.hooks) }
}
