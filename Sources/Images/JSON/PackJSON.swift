// The JSON forms of packing, recipes and measurements (docs/json.md).

import Platform
import Recipes

extension PackPlan: JSONDocument {
  public static let form = JSONForm<Self>(kind: "pack-plan") { key in
    key("image", \.image)
    key("snapshot", \.snapshot)
    key("needsSnapshot", \.needsSnapshot)
    key("destination", \.destination)
    key("method", \.method.rawValue)
    key("compression", \.codec.rawValue)
    key("mode") { "0" + String($0.mode, radix: 8) }
    key("replacedBytes", \.replacedBytes)
    key("changesLiveTree", \.changesLiveTree)
    key("remarks", \.remarks)
    key("refused") { $0.refusal.map(ErrorDetails.init) }
    key("seconds", \.seconds)
  }
}

extension PackOutcome: JSONDocument {
  public static let form = JSONForm<Self>("Pack", kind: "pack") { key in
    key("snapshot", \.snapshot.name)
    key("newSnapshot", \.isNewSnapshot)
    key("destination", \.destination)
    key("method", \.method.rawValue)
    key("compression", \.codec.rawValue)
    key("mode") { "0" + String($0.mode, radix: 8) }
    key("entries", \.counts.members)
    key("sizeBytes", \.report.writtenBytes)
    key("plainBytes", \.report.plainBytes)
    key("cachedBytes", \.report.cachedPlainBytes)
    key("segments", \.report.segments)
    key("cachedSegments", \.report.cachedSegments)
    key("droppedXattrs", \.counts.droppedXattrs)
    key("droppedCapabilities", \.counts.droppedCapabilities)
    key("gaps", \.gaps)
    key("uuid", \.uuid?.description)
    key("remarks", \.remarks)
    key("seconds", \.seconds)
  }
}

extension RecipeResult: JSONObject {
  /// The recipe; nil if none was stored.
  public var report: RecipeReport? {
    if case .stored(let report) = outcome { report } else { nil }
  }

  public static let form = JSONForm<Self>("Recipe") { key in
    key("path") { printable($0.path) }
    key("sizeBytes", \.sizeBytes)
    key("made") { $0.report != nil }
    key("why") { result -> String? in
      if case .none(let reason) = result.outcome { reason } else { nil }
    }
    key("encoders", \.report?.encoders)
    key("contents", \.report?.contents)
    key("newContents", \.report?.newContents)
    key("storedBytes", \.report?.storedBytes)
  }
}

extension RecipesOutcome: JSONDocument {
  public static let form = JSONForm<Self>(kind: "recipes") { key in
    key("snapshot", \.snapshot.name)
    key("recipes", \.results)
    key("alreadyMade", \.alreadyMade)
    key("seconds", \.seconds)
  }
}

extension BenchOutcome: JSONDocument {
  public static let form = JSONForm<Self>(kind: "bench") { key in
    key("subject", \.subject)
    key("entries", \.entries)
    key("contentBytes", \.contentBytes)
    key("changedBytes", \.changedBytes)
    key("changePercent", \.changePercent)
    key("processors", \.threads)
    key("rounds", \.rounds)
    key("snapshotSeconds", \.snapshotSeconds)
    key("runs") { outcome in outcome.runs.map { Run(run: $0, speedUp: outcome.speedUp($0)) } }
    key("remarks", \.remarks)
  }

  /// A run, compared with the fastest other program.
  private struct Run: JSONObject {
    let run: BenchRun
    let speedUp: Double?

    static let form = JSONForm<Self>("Bench.Run") { key in
      key("form", \.run.form.name)
      key("way") { item -> String in
        switch item.run.variant {
        case .peer: "peer"
        case .cold: "cold"
        case .changed: "changed"
        case .warm: "warm"
        }
      }
      key("command") { item -> String? in
        if case .peer(let text) = item.run.variant { text } else { nil }
      }
      key("seconds", \.run.seconds)
      key("sizeBytes", \.run.sizeBytes)
      key("timesAsFastAsBestPeer", \.speedUp)
    }
  }
}
