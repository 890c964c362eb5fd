// The JSON forms of packed images and of the nodes that run them (docs/json.md).

import Platform
import Store

extension BuildMatch: JSONObject {
  public static let form = JSONForm<Self> { key in
    key("snapshot") { "\($0.snapshot)" }
    key("evidence", \.evidence.rawValue)
    key("exists", \.exists)
  }
}

extension BuildSearch: JSONDocument {
  public static let form = JSONForm<Self>(kind: "which") { key in
    key("subject", \.subject)
    key("uuid", \.uuid?.description)
    key("sha256", \.digest?.hex)
    key("matches", \.matches)
  }
}

extension NodeGroup: JSONObject {
  public static let form = JSONForm<Self> { key in
    key("uuid", \.uuid.description)
    key("imageName", \.imageName)
    key("matches", \.matches)
    key("nodes", \.nodes)
    key("range", \.range)
  }
}

extension SilentNode: JSONObject {
  public static let form = JSONForm<Self> { key in
    key("name", \.name)
    key("reason", \.reason)
  }
}

extension NodesReport: JSONDocument {
  public static let form = JSONForm<Self>(kind: "nodes") { key in
    key("image", \.image)
    key("asked") { isoText($0.asked) }
    key("groups", \.groups)
    key("silent", \.silent)
    key("unclear", \.unclear)
  }
}
