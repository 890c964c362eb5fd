// The settings of remotes: [remote.NAME] sections of a configuration file, or of the store's own file.
//
// Keys and passwords are never settings: they come from the files and variables that ssh and the AWS tools use.

import Platform

/// A remote.
public struct RemoteSettings: Sendable, Equatable {
  /// The name of the section.
  public private(set) var name: String
  /// The address, as it was written.
  public var url: Setting<String>
  /// The URL of the S3 service; nil for that of the environment, or of AWS.
  public var endpoint: Setting<String>?
  public var region: Setting<String>?
  /// The profile in the files of the AWS tools.
  public var profile: Setting<String>?
  /// A file of keys in the form of ~/.aws/credentials.
  public var credentials: Setting<String>?
  /// A file of certificates that replace those of the system.
  public var caFile: Setting<String>?
  /// Whether the bucket is a part of the path (true) or of the host name (false).
  public var pathStyle: Setting<Bool>?
  /// Whether certificates are not verified; for tests.
  public var isInsecure: Setting<Bool>?
  /// The number of requests at one time.
  public var requests: Setting<Int>?

  /// Creates the settings of a remote with an address only.
  public init(_ name: String, url: Setting<String>) {
    self.name = name
    self.url = url
  }

  /// Returns the same settings under another name.
  public func named(_ name: String) -> RemoteSettings {
    var settings = self
    settings.name = name
    return settings
  }

  /// Returns whether a remote can have the name: 1 to 64 letters, digits and `-_.`, the first one a letter or
  /// digit.
  public static func isName(_ name: String) -> Bool {
    let bytes = name.utf8
    guard let first = bytes.first, bytes.count <= 64, first != 0x2d, first != 0x2e, first != 0x5f
    else { return false }
    return bytes.allSatisfy {
      (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0)
        || "-_.".utf8.contains($0)
    }
  }

  static let keys = [
    "url", "endpoint", "region", "profile", "credentials", "ca-file", "path-style", "insecure",
    "requests",
  ]

  /// All values with their keys, as TOML.
  public var listed: [ListedSetting] {
    let prefix = "remote.\(name)."
    return [
      ListedSetting(prefix + "url", url, TOMLText.string),
      ListedSetting(prefix + "endpoint", endpoint, TOMLText.string),
      ListedSetting(prefix + "region", region, TOMLText.string),
      ListedSetting(prefix + "profile", profile, TOMLText.string),
      ListedSetting(prefix + "credentials", credentials, TOMLText.string),
      ListedSetting(prefix + "ca-file", caFile, TOMLText.string),
      ListedSetting(prefix + "path-style", pathStyle) { "\($0)" },
      ListedSetting(prefix + "insecure", isInsecure) { "\($0)" },
      ListedSetting(prefix + "requests", requests) { "\($0)" },
    ].compactMap(\.self)
  }

  /// Reads the remotes of a file.
  static func read(_ remotes: SectionReader) -> [RemoteSettings] {
    remotes.table.keys.compactMap { name in
      guard let section = remotes.section(name) else { return nil }
      guard isName(name) else {
        remotes.fail(
          section.table.line, "\(TOMLText.string(name)) is not the name of a remote",
          hint: "Use letters, digits, '-', '_' and '.'")
        return nil
      }
      section.requireKnown(keys)
      guard let url = section.text("url", "an address", { $0.isEmpty ? nil : $0 }) else {
        if section.table["url"] == nil {
          section.fail(section.table.line, "the remote \(name) has no 'url'")
        }
        return nil
      }
      var settings = RemoteSettings(name, url: url)
      let text: (String) -> Setting<String>? = { key in
        section.text(key, "a text that is not empty") { $0.isEmpty ? nil : $0 }
      }
      settings.endpoint = text("endpoint")
      settings.region = text("region")
      settings.profile = text("profile")
      settings.credentials = section.absolutePath("credentials")
      settings.caFile = section.absolutePath("ca-file")
      settings.pathStyle = section.boolean("path-style")
      settings.isInsecure = section.boolean("insecure")
      settings.requests = section.count("requests")
      if let requests = settings.requests, !(1...64).contains(requests.value) {
        section.fail(section.table.line, "'requests' must be a number from 1 to 64")
      }
      return settings
    }
  }
}
