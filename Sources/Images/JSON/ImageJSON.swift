// The JSON forms of images and of plans for snapshots (docs/json.md).

import Store

extension ImageSummary: JSONObject {
  public static let form = JSONForm<Self>("Image") { key in
    key("name", \.name)
    key("defined", \.isDefined)
    key("provmethod") { $0.provisioning?.text ?? "" }
    key("directory", \.directory)
    key("snapshots", \.snapshots)
    key("latest", \.latest?.id.hex)
    key("latestNumber", \.latest?.number)
    key("latestCreated") { $0.latest.map { isoText($0.snapshot.created) } }
    key("lastChecked") { $0.lastChecked.map(isoText) }
    key("unreadable") { $0.unreadable.isEmpty ? nil : $0.unreadable }
    key("unfinished", \.unfinished)
    key("staged") { $0.staged.isEmpty ? nil : $0.staged }
  }
}

extension UnreadableSnapshot: JSONObject {
  public static let form = JSONForm<Self>("Unreadable") { key in
    key("name") { "\($0.name)" }
    key("number", \.name.number)
    key("finding", \.reason)
  }
}

extension DamagedMark: JSONObject {
  public static let form = JSONForm<Self> { key in
    key("kind") { "\($0.kind)" }
    key("name", \.reference)
    key("finding", \.reason)
  }
}

extension AddOutcome: JSONDocument {
  public static let form = JSONForm<Self>(kind: "added") { key in
    key("image", \.name)
    key("path", \.path)
    key("excludes", \.excludes)
    key("new", \.isNew)
    key("movedFrom", \.movedFrom)
    key("entries", \.entryCount)
    key("unmatched", \.unmatched)
    key("system", \.system)
  }
}

extension RemovedDefinition: JSONObject {
  public static let form = JSONForm<Self>("RemovedDefinitions.Removed") { key in
    key("image", \.image)
    key("path", \.path)
    key("snapshots", \.snapshots)
  }
}

extension SnapshotPlan: JSONDocument {
  public static let form = JSONForm<Self>(kind: "snapshot-plan") { key in
    key("image", \.image)
    key("addedDirectory", \.addedDirectory)
    key("snapshot") { plan in plan.number.map { "\(plan.image)@\($0)" } }
    key("entries", \.entryCount)
    key("contentBytes", \.contentBytes)
    key("diff") { $0.diff.map { DiffJSON($0) } }
    key("notes", \.notes)
    key("refused") { $0.refusal.map(ErrorDetails.init) }
    key("seconds", \.seconds)
  }
}

extension KeptSnapshot: JSONObject {
  public static let form = JSONForm<Self>("Forget.Kept") { key in
    key("snapshot", \.snapshot.name)
    key("created") { isoText($0.snapshot.snapshot.created) }
    key("reasons") { $0.reasons.map(\.description) }
  }
}

extension ForgottenSnapshot: JSONObject {
  public static let form = JSONForm<Self>("Forget.Forgotten") { key in
    key("snapshot") { "\($0.name)" }
    key("created") { $0.snapshot.map { isoText($0.snapshot.created) } }
    key("message", \.snapshot?.snapshot.message)
    key("tags", \.tags)
  }
}

extension UndefinedImage: JSONObject {
  public static let form = JSONForm<Self>("Forget.Undefined") { key in
    key("image", \.image)
    key("path", \.path)
    key("excludes", \.excludes)
  }
}
