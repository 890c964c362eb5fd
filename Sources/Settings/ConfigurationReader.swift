// Reads a configuration file into typed values: the list of all settings is here.
//
// Every setting that is unknown or has an unusable value is an error with its line. A file with an error has
// no effect at all: a setting that is silently ignored could be the one that keeps snapshots.

import Platform

/// Reads configuration files.
public enum ConfigurationReader {
  /// Reads the text of a file.
  /// - Parameter path: the path of the file, for origins and errors.
  /// - Returns: the values, and all errors in the order of their lines.
  public static func read(
    _ bytes: [UInt8], path: String
  ) -> (configuration: Configuration, errors: [ConfigurationError]) {
    let table: TOMLTable
    do throws(TOMLError) { table = try TOMLParser.parse(bytes) } catch {
      return (
        Configuration(),
        [
          ConfigurationError(
            path, line: error.line, error.reason,
            hint:
              "The file must be TOML (https://toml.io): texts need quotes, and keys and tables are defined once"
          )
        ]
      )
    }
    let problems = ConfigurationProblems()
    let root = SectionReader(path: path, table: table, prefix: "", problems: problems)
    var configuration = Configuration()
    configuration.files = [path]
    root.requireKnown(["store", "cache", "maintain", "serve", "image", "remote"])
    configuration.store = root.absolutePath("store")
    if let cache = root.section("cache") {
      cache.requireKnown(["segments"])
      configuration.segmentCacheBytes = cache.size("segments")
    }
    if let maintain = root.section("maintain") {
      configuration.maintenance = maintenance(maintain)
    }
    if let serve = root.section("serve") { configuration.serve = ServeSettings(serve) }
    if let remotes = root.section("remote") {
      for remote in RemoteSettings.read(remotes) { configuration.remotes[remote.name] = remote }
    }
    if let images = root.section("image") {
      configuration.add(images.table.keys.compactMap { section($0, of: images) })
      requireKeptSnapshots(configuration, images)
    }
    return (configuration, problems.errors.sorted { ($0.line ?? 0) < ($1.line ?? 0) })
  }

  /// Reads a file that may have remotes only: that of a store.
  /// - Returns: the remotes, and all errors in the order of their lines.
  public static func readRemotes(
    _ bytes: [UInt8], path: String
  ) -> (remotes: [String: RemoteSettings], errors: [ConfigurationError]) {
    let (configuration, errors) = read(bytes, path: path)
    guard errors.isEmpty,
      configuration.store != nil || configuration.segmentCacheBytes != nil
        || !configuration.images.isEmpty || configuration.maintenance != MaintenanceSettings()
        || configuration.serve != ServeSettings()
    else { return (configuration.remotes, errors) }
    return (
      [:],
      [
        ConfigurationError(
          path, "has settings other than remotes",
          hint: "Move them to \(ConfigurationFiles.systemDirectory)/\(ConfigurationFiles.name)")
      ]
    )
  }

  private static func maintenance(_ section: SectionReader) -> MaintenanceSettings {
    section.requireKnown([
      "verify-time", "verify-bytes", "optimize-time", "optimize-bytes", "standby-time", "metrics",
    ])
    var settings = MaintenanceSettings()
    settings.verifySeconds = section.duration("verify-time")
    settings.verifyBytes = section.size("verify-bytes")
    settings.optimizeSeconds = section.duration("optimize-time")
    settings.optimizeBytes = section.size("optimize-bytes")
    settings.standbySeconds = section.duration("standby-time")
    settings.metrics = section.absolutePath("metrics")
    return settings
  }

  private static func section(_ pattern: String, of images: SectionReader) -> ImageSection? {
    guard let section = images.section(pattern) else { return nil }
    let line = section.table.line
    if pattern.isEmpty || pattern.utf8.contains(0x2f) || pattern.utf8.contains(0x40) {
      images.fail(
        line, "\(TOMLText.string(pattern)) is not the name of an image, or a pattern of one",
        hint: "Write [image.compute] or [image.\"compute*\"]")
      return nil
    }
    section.requireKnown([
      "schedule", "retention", "excludes", "pre-snapshot", "post-snapshot", "pack", "push",
      "standby",
    ])
    var result = ImageSection(pattern, .file(section.path, line: line))
    result.settings.schedule = section.text(
      "schedule", "one of \(Schedule.words.joined(separator: ", ")), or a time such as \"6h\"",
      Schedule.init)
    result.settings.excludes = excludes(section)
    result.settings.preSnapshot = section.command("pre-snapshot")
    result.settings.postSnapshot = section.command("post-snapshot")
    result.settings.push = section.strings("push", "a list of the names of remotes")
    result.settings.standby = section.strings(
      "standby", "a list of tags, or snapshots such as \"~1\"")
    if let retention = section.section("retention") {
      result.settings.retention = self.retention(retention)
    }
    if let pack = section.section("pack") {
      pack.requireKnown(["method", "compress"])
      result.settings.packMethod = pack.oneOf("method", ["cpio", "tar", "squashfs"])
      result.settings.packCompression = pack.oneOf("compress", ["gzip", "zstd", "xz"])
    }
    return result
  }

  /// Reports the sections whose rules, with those of more general sections, keep no snapshot.
  private static func requireKeptSnapshots(_ configuration: Configuration, _ images: SectionReader)
  {
    for section in configuration.images {
      let retention = configuration.settings(of: section.pattern).retention
      guard retention.hasOwnRule, !retention.keepsSomething,
        case .file(_, let line) = section.origin
      else { continue }
      images.fail(
        line, "every retention rule of \(TOMLText.string(section.pattern)) keeps 0 snapshots",
        hint: "Leave the table 'retention' out to keep all snapshots, or keep at least one")
    }
  }

  private static func excludes(_ section: SectionReader) -> Setting<[String]>? {
    guard let lines = section.strings("excludes") else { return nil }
    do throws(ExcludePattern.SyntaxError) {
      _ = try ExcludePatterns(lines.value)
      return lines
    } catch {
      section.fail(
        section.table["excludes"]?.line ?? section.table.line,
        "'\(section.prefix)excludes' has an invalid pattern: \(error.reason)")
      return nil
    }
  }

  private static func retention(_ section: SectionReader) -> RetentionSettings {
    section.requireKnown(RetentionSettings.keys)
    var settings = RetentionSettings()
    for (key, path) in RetentionSettings.numbers { settings[keyPath: path] = section.count(key) }
    settings.within = section.text("keep-within", "a time such as \"30d\" (24h, 30d, 8w, 6m, 2y)") {
      Quantity.historySeconds($0) == nil ? nil : $0
    }
    settings.tagged = section.boolean("keep-tagged")
    return settings
  }
}
