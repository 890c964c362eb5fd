// The JSON forms of changes of live images, and of what they write (docs/json.md).

import Apply
import Platform

extension ApplyProblem: JSONObject {
  /// Creates the problem of an entry that is left as it is.
  public init(_ skipped: (path: [UInt8], reason: String)) {
    self.init(path: skipped.path, what: skipped.reason)
  }

  public static let form = JSONForm<Self>("Problem") { key in
    key("path") { printable($0.path) }
    key("what", \.what)
  }
}

extension ApplyReport: JSONObject {
  public static let form = JSONForm<Self> { key in
    key("writtenEntries", \.writtenFiles)
    key("writtenBytes", \.writtenBytes)
    key("reusedEntries", \.reusedFiles)
    key("removedEntries", \.removed)
    key("changedAttributes", \.changedAttributes)
    key("problems", \.problems)
  }
}

extension TreeStrategy: JSONObject {
  public static let form = JSONForm<Self> { key in
    key("path") { printable($0.path) }
    key("method") { $0.isSwap ? "swap" : "in place" }
    key("why", \.reason)
    key("standby", \.isStandby)
  }
}

extension UnfinishedChange: JSONObject {
  public static let form = JSONForm<Self>("Unfinished") { key in
    key("image", \.image)
    key("operation") { change -> String in
      switch change.operation {
      case .revert: "revert"
      case .importing: "import"
      case .copy: "copy"
      case .packing: "packing"
      }
    }
    key("command", \.command.text)
    key("user", \.user)
    key("started") { isoText($0.started) }
    key("target", \.target)
    key("before", \.before)
    key("running", \.isRunning)
  }
}

extension CopyOutcome: JSONDocument {
  public static let form = JSONForm<Self>(kind: "copy") { key in
    key("source", \.source.name)
    key("dryRun") { $0.copied == nil }
    key("copied", \.copied?.name)
    key("folder", \.directory.text)
    key("plannedSteps", \.apply.plannedSteps)
    key("plannedBytes", \.apply.plannedBytes)
    key("writes") { $0.apply.writes.map { printable($0) } }
    key("attributes") { $0.apply.attributePaths.map { printable($0) } }
    key("report") { $0.copied == nil ? nil : $0.apply.report }
    key("exact", \.remaining?.isEmpty)
    key("gaps", \.gaps)
    key("secrets", \.secrets)
    key("refused") { $0.refusal.map(ErrorDetails.init) }
    key("seconds", \.seconds)
  }
}

extension LiteOutcome: JSONDocument {
  public static let form = JSONForm<Self>(kind: "lite") { key in
    key("dryRun", \.isDryRun)
    key("safety", \.safety.name)
    key("recorded", \.recorded?.name)
    key("removals") { $0.apply.removals.map { printable($0) } }
    key("writes") { $0.apply.writes.map { printable($0) } }
    key("attributes") { $0.apply.attributePaths.map { printable($0) } }
    key("packed", \.packed)
    key("remarks", \.remarks)
    key("refused") { $0.refusal.map(ErrorDetails.init) }
    key("seconds", \.seconds)
  }
}

extension RestoreOutcome: JSONDocument {
  public static let form = JSONForm<Self>(kind: "restore") { key in
    key("source", \.source)
    key("destination", \.destination)
    key("dryRun", \.isDryRun)
    key("entries", \.entries)
    key("plannedBytes", \.plannedBytes)
    key("report") { $0.isDryRun ? nil : $0.report }
    key("skipped") { $0.skipped.map(ApplyProblem.init) }
    key("seconds", \.seconds)
  }
}

extension SiteReplacement: JSONObject {
  public static let form = JSONForm<Self> { key in
    key("name", \.name)
    key("effect", \.effect.rawValue)
  }
}

extension PrivilegedEntry: JSONObject {
  public static let form = JSONForm<Self>("Privileged") { key in
    key("path") { printable($0.path) }
    key("kinds") { $0.kinds.map(\.rawValue) }
    key("detail", \.detail)
    key("package", \.package)
    key("standard", \.isStandard)
  }
}

extension MissingFile: JSONObject {
  public static let form = JSONForm<Self>("Problem") { key in
    key("path", \.path)
    key("what", \.reason)
  }
}

extension BootCopy: JSONObject {
  public static let form = JSONForm<Self>("BootFiles.Copy") { key in
    key("role", \.role.text)
    key("path", \.path.text)
    key("source", \.source.text)
    key("state", \.state.rawValue)
  }
}

extension NodesetOutcome: JSONObject {
  public static let form = JSONForm<Self>("BootFiles.Nodeset") { key in
    key("command", \.command.text)
    key("done", \.isDone)
    key("failure", \.failure)
  }
}
