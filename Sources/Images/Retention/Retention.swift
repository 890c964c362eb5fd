// Which snapshots a policy keeps. Decides only; nothing is read or removed here.
//
// 1. The latest snapshot of an image stays, the latest complete one, pinned ones, and those that an
//    unfinished change needs. Tagged ones stay unless they are given up on purpose.
// 2. An incomplete snapshot satisfies no rule: it never takes the place of a complete one. Only in an image
//    that has no complete snapshot at all do the rules judge incomplete ones.
// 3. A rule keeps the latest snapshot of each of the last so many hours (days …) that have one,
//    local time: hours without a snapshot do not count.
// 4. Automatic snapshots (those before a change, and records of one) have a rule of their own, and never take
//    the place of a person's: the other rules neither count nor keep them.
// 5. What no rule and no promise keeps goes. Without a rule nothing goes; without a rule about a person's
//    snapshots none of these goes.

import Glibc
import Store

/// What `forget` keeps.
public struct RetentionPolicy: Sendable, Equatable {
  public var last: Int?
  public var hourly: Int?
  public var daily: Int?
  public var weekly: Int?
  public var monthly: Int?
  public var yearly: Int?
  /// All that were taken in so many seconds before the latest.
  public var withinSeconds: Int64?
  /// Of automatic snapshots, the last so many; nil for those of the last 30 days.
  public var automatic: Int?
  /// Tagged snapshots, beside what the numbers keep; a rule of its own.
  public var tagged = false
  public init() {}

  /// There is a rule: an empty policy would keep nothing, which nobody means.
  public var hasRule: Bool {
    hasOwnRule || automatic != nil
  }

  /// There is a rule about snapshots that a person took.
  private var hasOwnRule: Bool {
    tagged || withinSeconds != nil
      || [last, hourly, daily, weekly, monthly, yearly].contains { $0 != nil }
  }

  /// How long automatic snapshots stay where no rule says otherwise.
  public static let automaticSeconds: Int64 = 30 * 86_400
}

/// Why a snapshot is kept.
public enum KeepReason: Sendable, Hashable, CustomStringConvertible {
  case latest
  /// The latest that holds everything, where later ones do not.
  case latestComplete
  case pinned(why: String)
  /// An unfinished revert or import needs it.
  case underWay(what: String)
  case tagged([String])
  /// A rule of the policy, by its name: "daily".
  case rule(String)
  /// No rule is about snapshots that a person took.
  case noRule

  public var description: String {
    switch self {
    case .latest: "latest"
    case .latestComplete: "latest complete"
    case .pinned(let why): why.isEmpty ? "pinned" : "pinned: \(why)"
    case .underWay(let what): "needed by \(what)"
    case .tagged(let tags): "tagged \(tags.joined(separator: ", "))"
    case .rule(let name): name
    case .noRule: "taken by a person"
    }
  }
}

/// A snapshot, as a policy looks at it.
public struct RetentionCandidate: Sendable {
  public let number: Int
  /// Nothing of the image was missing or unreadable when it was taken.
  public let isComplete: Bool
  /// Seconds since 1970.
  public let created: Int64
  public let tags: [String]
  /// Why it is pinned; nil where it is not.
  public let pin: String?
  /// What needs it to be finished; nil where nothing does.
  public let underWay: String?
  /// A command took it for its own purposes.
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
  /// Why each snapshot of one image is kept; one that goes has no reason.
  /// - Parameters:
  ///   - candidates: ascending by number.
  ///   - now: seconds since 1970.
  ///   - force: tagged and pinned snapshots that no rule keeps go as well.
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
      if let why = candidate.pin, !force { own.append(.pinned(why: why)) }
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

/// A time of the epoch as the local clock shows it.
func localTime(_ seconds: Int64, _ format: String) -> String {
  var time = time_t(seconds)
  var parts = tm()
  var text = [CChar](repeating: 0, count: 64)
  guard localtime_r(&time, &parts) != nil else { return "\(seconds)" }
  let length = strftime(&text, text.count, format, &parts)
  return String(decoding: text.prefix(length).map(UInt8.init(bitPattern:)), as: UTF8.self)
}
