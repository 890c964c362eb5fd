// The settings of `imgstore serve`: the [serve] section of a configuration file. Options of the command line
// replace them one by one.

import Platform

/// The settings of the HTTP server.
public struct ServeSettings: Sendable, Equatable {
  /// The addresses to listen at.
  public var listen: Setting<[String]>?
  /// The certificate chain, a PEM file.
  public var certificate: Setting<String>?
  /// The key of the certificate, a PEM file.
  public var key: Setting<String>?
  public var tokenFile: Setting<String>?
  /// Whether boot files are served without a token.
  public var isBootPublic: Setting<Bool>?
  /// The directory of rendered files.
  public var cache: Setting<String>?
  public var cacheBytes: Setting<UInt64>?
  public var accessLog: Setting<String>?
  /// The name of the remote whose images are served.
  public var remote: Setting<String>?

  public init() {}

  mutating func replace(with other: ServeSettings) {
    listen = other.listen ?? listen
    certificate = other.certificate ?? certificate
    key = other.key ?? key
    tokenFile = other.tokenFile ?? tokenFile
    isBootPublic = other.isBootPublic ?? isBootPublic
    cache = other.cache ?? cache
    cacheBytes = other.cacheBytes ?? cacheBytes
    accessLog = other.accessLog ?? accessLog
    remote = other.remote ?? remote
  }

  var listed: [ListedSetting] {
    [
      ListedSetting("serve.listen", listen) { TOMLText.strings($0) },
      ListedSetting("serve.tls-certificate", certificate, TOMLText.string),
      ListedSetting("serve.tls-key", key, TOMLText.string),
      ListedSetting("serve.token-file", tokenFile, TOMLText.string),
      ListedSetting("serve.public-boot", isBootPublic) { "\($0)" },
      ListedSetting("serve.cache", cache, TOMLText.string),
      ListedSetting("serve.cache-limit", cacheBytes) { TOMLText.string("\($0)") },
      ListedSetting("serve.access-log", accessLog, TOMLText.string),
      ListedSetting("serve.remote", remote, TOMLText.string),
    ].compactMap(\.self)
  }

  /// Reads the section.
  init(_ section: SectionReader) {
    section.requireKnown([
      "listen", "tls-certificate", "tls-key", "token-file", "public-boot", "cache", "cache-limit",
      "access-log", "remote",
    ])
    listen = section.strings("listen", "a list of addresses such as \"10.0.0.1:7070\"")
    certificate = section.absolutePath("tls-certificate")
    key = section.absolutePath("tls-key")
    tokenFile = section.absolutePath("token-file")
    isBootPublic = section.boolean("public-boot")
    cache = section.absolutePath("cache")
    cacheBytes = section.size("cache-limit")
    accessLog = section.absolutePath("access-log")
    remote = section.text("remote", "the name of a remote") { $0.isEmpty ? nil : $0 }
    if (certificate == nil) != (key == nil) {
      section.fail(
        section.table.line,
        "'\(section.prefix)tls-certificate' and '\(section.prefix)tls-key' need each other")
    }
  }
}
