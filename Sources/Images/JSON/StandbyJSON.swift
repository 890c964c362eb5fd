// The JSON forms of standby trees (docs/json.md).

import Platform

extension StandbyOutcome: JSONDocument {
  public static let form = JSONForm<Self>(kind: "standby") { key in
    key("dryRun", \.isDryRun)
    key("removed", \.isRemoval)
    key("trees", \.trees)
  }
}

extension StandbyReport: JSONObject {
  public static let form = JSONForm<Self>("Standby.Tree") { key in
    key("image", \.image)
    key("snapshot", \.snapshot.name)
    key("tags", \.tags)
    key("path", \.path)
    key("intact", \.isIntact)
    key("new", \.isNew)
    key("entries", \.space.entries)
    key("contentBytes", \.space.contentBytes)
    key("exclusiveBytes", \.space.exclusiveBytes)
  }
}
