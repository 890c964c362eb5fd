// Decides which snapshots a retention policy keeps. Nothing is read or removed here.
//
// 1. Always kept: an image's latest snapshot, its latest complete one, and those that an unfinished change
//    needs. Pinned and tagged ones are kept, too, unless `force` is set.
// 2. Rules ignore incomplete snapshots, so that these never replace complete ones. Only if an image has no
//    complete snapshot do the rules apply to its incomplete ones.
// 3. A periodic rule keeps the latest snapshot of each of the last N hours (days …, local time) that have
//    one. Hours without a snapshot do not count.
// 4. Automatic snapshots (those before a change, and records of one) have their own rule. The other rules
//    neither count nor keep them, so that they never replace a person's snapshot.
// 5. All other snapshots are removed. Without a rule nothing is removed; without a rule about a person's
//    snapshots none of those is.

/// The rules of `forget`: which snapshots it keeps.
public struct RetentionPolicy: Sendable, Equatable {
  public var last: Int?
  public var hourly: Int?
  public var daily: Int?
  public var weekly: Int?
  public var monthly: Int?
  public var yearly: Int?
  /// Keeps all snapshots that were taken at most this long before the latest one.
  public var withinSeconds: Int64?
  /// How many of the latest automatic snapshots to keep; nil for those of the last 30 days.
  public var automatic: Int?
  /// Keeps tagged snapshots, in addition to those that the other rules keep.
  public var tagged = false
  public init() {}

  /// Whether the policy has a rule. An empty policy would keep nothing, which no caller intends.
  public var hasRule: Bool {
    hasOwnRule || automatic != nil
  }

  /// Whether a rule applies to snapshots that a person took.
  private var hasOwnRule: Bool {
    tagged || withinSeconds != nil
      || [last, hourly, daily, weekly, monthly, yearly].contains { $0 != nil }
  }

  /// How long automatic snapshots are kept without a rule of their own.
  public static let automaticSeconds: Int64 = 30 * 86_400
}

/// The reason for which a snapshot is kept.
public enum KeepReason: Sendable, Hashable, CustomStringConvertible {
  case latest
  /// The latest complete snapshot, if later ones are incomplete.
  case latestComplete
  case pinned(reason: String)
  /// An unfinished revert or import needs it.
  case underWay(what: String)
  case tagged([String])
  /// A rule of the policy, by its name, such as "daily".
  case rule(String)
  /// A person took it, and no rule applies to such snapshots.
  case noRule

  public var description: String {
    switch self {
    case .latest: "latest"
    case .latestComplete: "latest complete"
    case .pinned(let reason): reason.isEmpty ? "pinned" : "pinned: \(reason)"
    case .underWay(let what): "needed by \(what)"
    case .tagged(let tags): "tagged \(tags.joined(separator: ", "))"
    case .rule(let name): name
    case .noRule: "taken by a person"
    }
  }
}

/// The properties of a snapshot that a policy considers.
public struct RetentionCandidate: Sendable {
  public let number: Int
  /// Whether every file of the image was present and readable when the snapshot was taken.
  public let isComplete: Bool
  /// Seconds since 1970.
  public let created: Int64
  public let tags: [String]
  /// The reason for which it is pinned; nil if it is not.
  public let pin: String?
  /// The unfinished change that needs it; nil if none does.
  public let underWay: String?
  /// Whether a command took it for its own purposes.
  public let isAutomatic: Bool

  public init(
    number: Int, created: Int64, isComplete: Bool = true, tags: [String] = [], pin: String? = nil,
    underWay: String? = nil, isAutomatic: Bool = false
  ) {
    self.isAutomatic = isAutomatic
    self.number = number
    self.isComplete = isComplete
    self.created = created
    self.tags = tags
    self.pin = pin
    self.underWay = underWay
  }
}

extension RetentionPolicy {
  /// Returns the reasons for which each snapshot of one image is kept. A snapshot to remove has none.
  /// - Parameters:
  ///   - candidates: the snapshots, in ascending order of their numbers.
  ///   - force: whether to remove tagged and pinned snapshots that no rule keeps.
  ///   - now: the current time, in seconds since 1970.
  public func reasons(
    for candidates: [RetentionCandidate], force: Bool = false, now: Int64
  ) -> [Int: [KeepReason]] {
    var reasons: [Int: [KeepReason]] = [:]
    let complete = candidates.filter(\.isComplete)
    let judged = (complete.isEmpty ? candidates : complete).filter { !$0.isAutomatic }
    for candidate in candidates {
      var own: [KeepReason] = []
      if candidate.number == candidates.last?.number {
        own.append(.latest)
      } else if candidate.number == complete.last?.number {
        own.append(.latestComplete)
      }
      if let what = candidate.underWay { own.append(.underWay(what: what)) }
      if let reason = candidate.pin, !force { own.append(.pinned(reason: reason)) }
      if !candidate.tags.isEmpty, tagged || !force { own.append(.tagged(candidate.tags)) }
      reasons[candidate.number] = own
    }
    for (i, candidate) in candidates.reversed().filter(\.isAutomatic).enumerated() {
      let isKept =
        automatic.map { i < $0 }
        ?? (candidate.created > now - RetentionPolicy.automaticSeconds)
      if isKept { reasons[candidate.number]?.append(.rule("automatic")) }
    }
    for candidate in candidates where !candidate.isAutomatic && !hasOwnRule {
      reasons[candidate.number]?.append(.noRule)
    }
    if let withinSeconds, let latest = judged.last?.created {
      for candidate in judged where candidate.created >= latest &- withinSeconds {
        reasons[candidate.number]?.append(.rule("within"))
      }
    }
    let rules: [(String, Int?, (RetentionCandidate) -> String)] = [
      ("last", last, { "\($0.number)" }),
      ("hourly", hourly, { localTime($0.created, "%Y-%m-%d %H %z") }),
      ("daily", daily, { localTime($0.created, "%Y-%m-%d") }),
      ("weekly", weekly, { localTime($0.created, "%G-%V") }),
      ("monthly", monthly, { localTime($0.created, "%Y-%m") }),
      ("yearly", yearly, { localTime($0.created, "%Y") }),
    ]
    for (name, limit, period) in rules {
      guard let limit else { continue }
      var seen: Set<String> = []
      for candidate in judged.reversed() {
        let period = period(candidate)
        if seen.contains(period) { continue }
        if seen.count == limit { break }
        seen.insert(period)
        reasons[candidate.number]?.append(.rule(name))
      }
    }
    return reasons
  }
}
