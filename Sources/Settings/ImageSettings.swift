// The settings of images: sections of the configuration, and the values that apply to one image.
//
// 1. Sections apply in this order: those of the system file before those of the user's file; in each file,
//    patterns with fewer literal characters first, and a name without wildcards last.
// 2. A later section replaces the values of an earlier one key by key. A list is one value.

import Platform

/// The rules of `forget`, by the names of its options.
public struct RetentionSettings: Sendable, Equatable {
  public var last: Setting<Int>?
  public var hourly: Setting<Int>?
  public var daily: Setting<Int>?
  public var weekly: Setting<Int>?
  public var monthly: Setting<Int>?
  public var yearly: Setting<Int>?
  /// How many of the latest automatic snapshots to keep.
  public var automatic: Setting<Int>?
  /// A span such as "30d".
  public var within: Setting<String>?
  public var tagged: Setting<Bool>?
  public init() {}

  typealias NumberPath = any WritableKeyPath<RetentionSettings, Setting<Int>?> & Sendable

  static let numbers: [(key: String, path: NumberPath)] = [
    ("keep-last", \.last), ("keep-hourly", \.hourly), ("keep-daily", \.daily),
    ("keep-weekly", \.weekly), ("keep-monthly", \.monthly), ("keep-yearly", \.yearly),
    ("keep-auto", \.automatic),
  ]
  static let keys = numbers.map(\.key) + ["keep-within", "keep-tagged"]

  /// Whether a rule about a person's snapshots keeps at least one of them.
  public var keepsSomething: Bool {
    within != nil || tagged?.value == true
      || [last, hourly, daily, weekly, monthly, yearly].contains { ($0?.value ?? 0) > 0 }
  }

  /// Whether a rule about a person's snapshots exists.
  public var hasOwnRule: Bool {
    within != nil || tagged?.value == true
      || [last, hourly, daily, weekly, monthly, yearly].contains { $0 != nil }
  }

  mutating func replace(with other: RetentionSettings) {
    for (_, path) in RetentionSettings.numbers {
      self[keyPath: path] = other[keyPath: path] ?? self[keyPath: path]
    }
    within = other.within ?? within
    tagged = other.tagged ?? tagged
  }

  func listed(_ prefix: String) -> [ListedSetting] {
    RetentionSettings.numbers.compactMap { key, path in
      ListedSetting(prefix + key, self[keyPath: path]) { "\($0)" }
    }
      + [
        ListedSetting(prefix + "keep-within", within, TOMLText.string),
        ListedSetting(prefix + "keep-tagged", tagged) { "\($0)" },
      ].compactMap(\.self)
  }
}

/// The settings of an image, or of one section.
public struct ImageSettings: Sendable, Equatable {
  public var schedule: Setting<Schedule>?
  public var retention = RetentionSettings()
  /// Patterns of paths to exclude from the tree, in addition to those of the image.
  public var excludes: Setting<[String]>?
  /// A program and its arguments, run before each snapshot.
  public var preSnapshot: Setting<[String]>?
  /// A program and its arguments, run after each snapshot.
  public var postSnapshot: Setting<[String]>?
  /// The format of `pack`.
  public var packMethod: Setting<String>?
  /// The compression of `pack`.
  public var packCompression: Setting<String>?
  /// The remotes that `maintain` pushes new snapshots to.
  public var push: Setting<[String]>?
  /// The snapshots, mostly tags, whose standby trees `maintain` keeps.
  public var standby: Setting<[String]>?
  public init() {}

  mutating func replace(with other: ImageSettings) {
    schedule = other.schedule ?? schedule
    retention.replace(with: other.retention)
    excludes = other.excludes ?? excludes
    preSnapshot = other.preSnapshot ?? preSnapshot
    postSnapshot = other.postSnapshot ?? postSnapshot
    packMethod = other.packMethod ?? packMethod
    packCompression = other.packCompression ?? packCompression
    push = other.push ?? push
    standby = other.standby ?? standby
  }

  func listed(_ prefix: String) -> [ListedSetting] {
    [
      ListedSetting(prefix + "schedule", schedule) { TOMLText.string($0.text) },
      ListedSetting(prefix + "excludes", excludes, TOMLText.strings),
      ListedSetting(prefix + "pre-snapshot", preSnapshot, TOMLText.strings),
      ListedSetting(prefix + "post-snapshot", postSnapshot, TOMLText.strings),
      ListedSetting(prefix + "push", push, TOMLText.strings),
      ListedSetting(prefix + "standby", standby, TOMLText.strings),
    ].compactMap(\.self) + retention.listed(prefix + "retention.")
      + [
        ListedSetting(prefix + "pack.method", packMethod, TOMLText.string),
        ListedSetting(prefix + "pack.compress", packCompression, TOMLText.string),
      ].compactMap(\.self)
  }
}

/// A section of a file: the settings of the images whose names match a pattern.
public struct ImageSection: Sendable {
  /// A name, or a pattern of fnmatch(3).
  public let pattern: String
  public let origin: SettingOrigin
  public var settings = ImageSettings()

  init(_ pattern: String, _ origin: SettingOrigin) {
    (self.pattern, self.origin) = (pattern, origin)
  }

  /// Returns whether the section applies to an image.
  public func matches(_ image: String) -> Bool {
    BytePattern(Array(pattern.utf8)).matches(Array(image.utf8))
  }

  /// The rank in a file: names before patterns, and patterns by their literal characters.
  var specificity: (Int, Int) {
    let literals = pattern.utf8.count { !Array("*?[]\\".utf8).contains($0) }
    return (BytePattern(Array(pattern.utf8)).isLiteral ? 1 : 0, literals)
  }
}
