// The configuration of imgstore (docs/decisions/0065-configuration.md): typed values of the files that apply.
//
// 1. A value keeps the file and the line that it comes from.
// 2. Remotes have sections of their own; images name the remotes that `maintain` pushes to.

/// The limits and outputs of `maintain`.
public struct MaintenanceSettings: Sendable, Equatable {
  /// The time in seconds after which no pack is verified any more.
  public var verifySeconds: Setting<Double>?
  /// The number of bytes after which no pack is verified any more.
  public var verifyBytes: Setting<UInt64>?
  /// The time in seconds after which no pack is recompressed any more; 0 recompresses none.
  public var optimizeSeconds: Setting<Double>?
  /// The bytes of packs to recompress at most; 0 recompresses none.
  public var optimizeBytes: Setting<UInt64>?
  /// The time in seconds after which no standby tree is begun any more; 0 makes none.
  public var standbySeconds: Setting<Double>?
  /// The file that `maintain` writes metrics to.
  public var metrics: Setting<String>?
  public init() {}

  /// The limits without a configuration, which a night has time for.
  public static let standardVerifySeconds = 1800.0
  public static let standardOptimizeSeconds = 1800.0
  public static let standardStandbySeconds = 1800.0

  mutating func replace(with other: MaintenanceSettings) {
    verifySeconds = other.verifySeconds ?? verifySeconds
    verifyBytes = other.verifyBytes ?? verifyBytes
    optimizeSeconds = other.optimizeSeconds ?? optimizeSeconds
    optimizeBytes = other.optimizeBytes ?? optimizeBytes
    standbySeconds = other.standbySeconds ?? standbySeconds
    metrics = other.metrics ?? metrics
  }

  var listed: [ListedSetting] {
    let seconds: (Double) -> String = { TOMLText.string("\(Int64($0))s") }
    return [
      ListedSetting(
        "maintain.verify-time",
        verifySeconds ?? Setting(MaintenanceSettings.standardVerifySeconds, .builtIn), seconds),
      ListedSetting("maintain.verify-bytes", verifyBytes) { TOMLText.string("\($0)") },
      ListedSetting(
        "maintain.optimize-time",
        optimizeSeconds ?? Setting(MaintenanceSettings.standardOptimizeSeconds, .builtIn), seconds),
      ListedSetting("maintain.optimize-bytes", optimizeBytes) { TOMLText.string("\($0)") },
      ListedSetting(
        "maintain.standby-time",
        standbySeconds ?? Setting(MaintenanceSettings.standardStandbySeconds, .builtIn), seconds),
      ListedSetting("maintain.metrics", metrics, TOMLText.string),
    ].compactMap(\.self)
  }
}

/// The values of all files that apply.
public struct Configuration: Sendable {
  /// The paths of the files that exist, in the order of their application.
  public internal(set) var files: [String] = []
  /// The directory of the store.
  public var store: Setting<String>?
  /// The limit of the segment cache, in bytes.
  public var segmentCacheBytes: Setting<UInt64>?
  public var maintenance = MaintenanceSettings()
  public var serve = ServeSettings()
  /// The sections of images, in the order of their application.
  public private(set) var images: [ImageSection] = []
  /// The remotes, by their names.
  public internal(set) var remotes: [String: RemoteSettings] = [:]

  /// Creates a configuration without any value.
  public init() {}

  /// Adds the values of a file, which replace earlier ones.
  mutating func add(_ other: Configuration) {
    files += other.files
    store = other.store ?? store
    segmentCacheBytes = other.segmentCacheBytes ?? segmentCacheBytes
    maintenance.replace(with: other.maintenance)
    serve.replace(with: other.serve)
    images += other.images
    remotes.merge(other.remotes) { $1 }
  }

  /// Adds the sections of one file in the order of their application.
  mutating func add(_ sections: [ImageSection]) {
    images += sections.enumerated().sorted { a, b in
      let (x, y) = (a.element.specificity, b.element.specificity)
      return x == y ? a.offset < b.offset : x < y
    }.map(\.element)
  }

  /// Returns the values that apply to an image.
  public func settings(of image: String) -> ImageSettings {
    var settings = ImageSettings()
    for section in images where section.matches(image) { settings.replace(with: section.settings) }
    return settings
  }

  /// Returns all values in effect, or those of one image.
  public func listed(for image: String? = nil) -> [ListedSetting] {
    if let image {
      var settings = settings(of: image)
      settings.schedule = settings.schedule ?? Setting(.standard, .builtIn)
      return settings.listed("image.\(TOMLText.string(image)).")
    }
    return [
      ListedSetting("store", store, TOMLText.string),
      ListedSetting("cache.segments", segmentCacheBytes) { TOMLText.string("\($0)") },
    ].compactMap(\.self) + maintenance.listed + serve.listed
      + remotes.sorted { $0.key < $1.key }.flatMap { $0.value.listed }
      + images.flatMap { $0.settings.listed("image.\(TOMLText.string($0.pattern)).") }
  }
}
