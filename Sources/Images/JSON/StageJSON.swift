// The JSON forms of staging (docs/json.md).

extension StageOutcome: JSONDocument {
  public static let form = JSONForm<Self>(kind: "stage") { key in
    key("snapshot", \.snapshot)
    key("image", \.image)
    key("url", \.url)
    key("attributes") { outcome in
      Dictionary(outcome.attributes.map { ($0.name, $0.value) }) { first, _ in first }
    }
    key("alreadyDefined", \.isDefined)
    key("files", \.files)
    key("nodes", \.nodes)
    key("command", \.command)
    key("applied", \.isApplied)
  }
}

extension StagedFile: JSONObject {
  public static let form = JSONForm<Self>("Stage.File") { key in
    key("path", \.path)
    key("sizeBytes", \.sizeBytes)
  }
}

extension StagedNode: JSONObject {
  public static let form = JSONForm<Self>("Stage.Node") { key in
    key("name", \.name)
    key("before", \.before)
  }
}

extension UnstageOutcome: JSONDocument {
  public static let form = JSONForm<Self>(kind: "unstage") { key in
    key("image", \.image)
    key("files", \.files)
  }
}
