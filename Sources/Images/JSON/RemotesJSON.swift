// The JSON forms of remotes and transfers (docs/json.md).

import Depot
import Platform
import Store
import Transfer

extension OriginRecord: JSONObject {
  public static let form = JSONForm<Self>("PulledFrom") { key in
    key("remote", \.remote)
    key("url", \.url)
    key("snapshot") { $0.snapshot.map { "\($0)" } }
    key("id", \.id.hex)
    key("pulled") { isoText($0.pulled) }
    key("user", \.user)
  }
}

extension TransferItem: JSONObject {
  public static let form = JSONForm<Self>("Transfer.Item") { key in
    key("snapshot") { $0.local.map { "\($0)" } }
    key("remoteSnapshot") { $0.remote.map { "\($0)" } }
    key("id", \.id.hex)
    key("new", \.isNew)
    key("objects", \.amount.objects)
    key("bytes", \.amount.bytes)
    key("contentBytes", \.contentBytes)
  }
}

extension TagConflict: JSONObject {
  public static let form = JSONForm<Self>("Transfer.TagConflict") { key in
    key("image", \.image.text)
    key("tag", \.tag)
    key("number", \.number)
    key("otherNumber", \.otherNumber)
  }
}

extension TransferOutcome.Direction: JSONEnumeration {}

extension TransferOutcome: JSONDocument {
  public static let form = JSONForm<Self>("Transfer", kind: "transfer") { key in
    key("direction", \.direction)
    key("remote", \.remote)
    key("url", \.url)
    key("dryRun", \.isDryRun)
    key("snapshots", \.items)
    key("objects", \.amount.objects)
    key("bytes", \.amount.bytes)
    key("contentBytes", \.contentBytes)
    key("newTags") { $0.newTags.map { "\($0.snapshot.image)@\($0.tag)" } }
    key("tagConflicts", \.conflicts)
    key("appliedAs") { $0.applied?.recorded?.name }
    key("seconds", \.seconds)
  }
}

extension Remote: JSONObject {
  public static let form = JSONForm<Self> { key in
    key("name", \.name)
    key("url") { "\($0.url)" }
    key("definedIn", \.settings.url.origin.text)
  }
}

extension RemoteCheckState: JSONEnumeration {}

extension RemoteCheckItem: JSONObject {
  public static let form = JSONForm<Self>("RemoteCheck.Item") { key in
    key("check", \.name)
    key("state", \.state)
    key("finding", \.finding)
    key("hint") { $0.hint.isEmpty ? nil : $0.hint }
  }
}

extension RemoteCheckReport: JSONDocument {
  public static let form = JSONForm<Self>("RemoteCheck", kind: "remote-check") { key in
    key("remote", \.remote)
    key("url", \.url)
    key("usable", \.isUsable)
    key("checks", \.items)
  }
}

/// The images of a remote.
public struct RemoteImageJSON: JSONObject {
  let image: String
  let snapshots: Int
  public static let form = JSONForm<Self> { key in
    key("image", \.image)
    key("snapshots", \.snapshots)
  }
}

extension RemoteDescription: JSONDocument {
  public static let form = JSONForm<Self>("RemoteDescription", kind: "remote") { key in
    key("remote", \.remote)
    key("images") {
      $0.images.map { RemoteImageJSON(image: $0.image.text, snapshots: $0.snapshots) }
    }
  }
}

extension NamedSnapshot: JSONObject {
  public static let form = JSONForm<Self>("Thin.Snapshot") { key in
    key("number", \.number)
    key("id", \.id.hex)
    key("created") { isoText($0.created) }
  }
}

extension ThinExportOutcome: JSONDocument {
  public static let form = JSONForm<Self>("ThinExport", kind: "thin-export") { key in
    key("snapshot", \.snapshot.name)
    key("id", \.snapshot.id.hex)
    key("bases", \.bases)
    key("destination", \.destination)
    key("dryRun", \.isDryRun)
    key("sizeBytes", \.sizeBytes)
    key("objects", \.amount.objects)
    key("secrets", \.secrets.findings.count)
    key("seconds", \.seconds)
  }
}

extension ThinImportOutcome: JSONDocument {
  public static let form = JSONForm<Self>("ThinImport", kind: "thin-import") { key in
    key("image", \.manifest.image.text)
    key("snapshot") { $0.snapshot.map { "\($0)" } }
    key("id", \.manifest.snapshot.id.hex)
    key("bases", \.manifest.bases)
    key("new", \.isNew)
    key("dryRun", \.isDryRun)
    key("bytes", \.bytes)
    key("appliedAs") { $0.applied?.recorded?.name }
    key("seconds", \.seconds)
  }
}

extension RegisteredWriter: JSONObject {
  public static let form = JSONForm<Self>("Depot.Writer") { key in
    key("id", \.id.description)
    key("process", \.description)
  }
}

extension DepotCollectionOutcome: JSONDocument {
  public static let form = JSONForm<Self>("DepotCollection", kind: "depot-collection") { key in
    key("remote", \.remote)
    key("dryRun", \.isDryRun)
    key("deletedPacks", \.report.deletedPacks)
    key("deletedBytes", \.report.deletedBytes)
    key("copiedBytes", \.report.copiedBytes)
    key("waitingPacks", \.report.waitingPacks)
    key("waitingFor", \.report.waitingFor)
    key("removedWriters", \.report.removedWriters)
    key("damaged", \.report.damaged)
  }
}

extension DepotProblem: JSONObject {
  public static let form = JSONForm<Self>("Depot.Problem") { key in
    key("code", \.code)
    key("object", \.subject)
    key("finding", \.reason)
  }
}

extension DepotVerifyOutcome: JSONDocument {
  public static let form = JSONForm<Self>("DepotVerification", kind: "depot-verification") { key in
    key("remote", \.remote)
    key("deep", \.isDeep)
    key("snapshots", \.report.snapshots)
    key("packs", \.report.packs)
    key("packBytes", \.report.packBytes)
    key("objects", \.report.verifiedObjects)
    key("problems", \.report.problems)
    key("seconds", \.seconds)
  }
}

extension DepotUsage.Image: JSONObject {
  public static let form = JSONForm<Self>("Depot.Image") { key in
    key("image", \.image.text)
    key("snapshots", \.snapshots)
    key("neededBytes", \.neededBytes)
    key("ownBytes", \.ownBytes)
  }
}

extension DepotUsageOutcome: JSONDocument {
  public static let form = JSONForm<Self>("DepotUsage", kind: "depot-usage") { key in
    key("remote", \.remote)
    key("images", \.usage.images)
    key("packs", \.usage.packs)
    key("packBytes", \.usage.packBytes)
    key("unneededBytes", \.usage.unneededBytes)
  }
}

extension DepotForgetOutcome: JSONDocument {
  public static let form = JSONForm<Self>("DepotForget", kind: "depot-forget") { key in
    key("remote", \.remote)
    key("dryRun", \.isDryRun)
    key("removed") { $0.removed.map { "\($0)" } }
    key("kept", \.keptCount)
  }
}
