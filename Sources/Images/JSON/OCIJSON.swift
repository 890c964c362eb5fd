// The JSON forms of exports as OCI images (docs/json.md).

import Platform
import Store

extension OCIExportOutcome: JSONDocument {
  public static let form = JSONForm<Self>("OCIExport", kind: "oci-export") { key in
    key("snapshot", \.snapshot.name)
    key("destination", \.destination)
    key("dryRun", \.isDryRun)
    key("name", \.name)
    key("platform", \.platform)
    key("digest") { $0.digest.map { "sha256:\($0.hex)" } }
    key("sizeBytes") { $0.isDryRun ? nil : $0.sizeBytes }
    key("layers", \.layers)
    key("gaps", \.gaps)
    key("remarks", \.remarks)
    key("secrets", \.secrets)
    key("seconds", \.seconds)
  }
}

extension OCILayerOutcome: JSONObject {
  public static let form = JSONForm<Self>("OCIExport.Layer") { key in
    key("snapshot", \.snapshot)
    key("digest") { $0.digest.map { "sha256:\($0.hex)" } }
    key("sizeBytes") { $0.digest == nil ? nil : $0.sizeBytes }
    key("contentBytes", \.contentBytes)
  }
}
