// The settings of a bucket from the usual places of AWS tools.
//
// Precedence ("Configuration and credentials precedence" of the AWS CLI, with its order of endpoints):
// 1. options of the remote;
// 2. variables: AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, AWS_REGION,
//    AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_CA_BUNDLE;
// 3. the profile: the credentials file for keys, then the config file.
// A profile that an option names precedes the keys in variables. One that AWS_PROFILE names does not.

import ObjectStorage
import Platform

extension S3Settings {
  /// The options of a remote. nil: as the environment says.
  public struct Options: Sendable {
    public var endpoint: String?
    public var region: String?
    public var addressing: S3Addressing?
    public var profile: String?
    public var caBundle: String?
    public var isInsecure = false
    public var requestsAtOnce: Int?

    /// Creates options that leave everything to the environment.
    public init() {}
  }

  /// The surroundings of a process: its variables, its user's directory, its files.
  public struct Origin: Sendable {
    let variables: [String: String]
    let home: String?
    let fileSystem: any FileSystem

    /// Creates an origin.
    public init(
      variables: [String: String], home: String? = nil,
      fileSystem: any FileSystem = KernelFileSystem.shared
    ) {
      self.variables = variables
      self.home = home ?? variables["HOME"]
      self.fileSystem = fileSystem
    }

    /// Returns the value of the first variable that is set and not empty, and its name.
    func first(_ names: String...) -> (value: String, name: String)? {
      for name in names {
        if let value = variables[name], !value.isEmpty { return (value, name) }
      }
      return nil
    }
  }

  /// Finds the settings of a bucket.
  /// - Throws: `StorageError` of kind settings if keys are missing or a setting is invalid; `system`.
  public static func find(
    _ url: S3URL, options: Options = Options(), origin: Origin
  ) throws(StorageError) -> S3Settings {
    let profile = try AWSProfile(
      options.profile, environment: origin.variables, home: origin.home,
      fileSystem: origin.fileSystem)
    let region = try region(options, origin, profile)
    let endpoint = try endpoint(options, origin, profile)
    var settings = S3Settings(
      url, endpoint: endpoint ?? .aws(region: region), region: region,
      credentials: try credentials(url, options, origin, profile))
    settings.addressing =
      options.addressing
      ?? profile.s3Setting("addressing_style").flatMap(S3Addressing.init(rawValue:))
      // Certificates of AWS match one label before the host, and buckets with dots have more.
      ?? (endpoint == nil && !url.bucket.contains(".") ? .virtual : .path)
    settings.caBundle =
      options.caBundle ?? origin.first("AWS_CA_BUNDLE")?.value ?? profile.setting("ca_bundle")
    settings.isInsecure = options.isInsecure
    settings.proxy = try S3Proxy.find(for: settings.endpoint, origin)
    if let count = options.requestsAtOnce { settings.limits.requestsAtOnce = count }
    return settings
  }

  private static func region(
    _ options: Options, _ origin: Origin, _ profile: AWSProfile
  ) throws(StorageError) -> String {
    let region =
      options.region ?? origin.first("AWS_REGION", "AWS_DEFAULT_REGION")?.value
      ?? profile.setting("region") ?? "us-east-1"
    guard (1...64).contains(region.utf8.count),
      region.utf8.allSatisfy({ byte in
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
      })
    else {
      throw StorageError(
        .settings, "the S3 region", "is not letters, digits, '-' and '_'",
        hint: "Set AWS_REGION to a name like us-east-1")
    }
    return region
  }

  /// Returns the endpoint that a setting names; nil for that of AWS.
  private static func endpoint(
    _ options: Options, _ origin: Origin, _ profile: AWSProfile
  ) throws(StorageError) -> S3Endpoint? {
    if let text = options.endpoint {
      return try S3Endpoint(parsing: text, origin: "the remote's settings")
    }
    let ignores =
      origin.first("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")?.value
      ?? profile.setting("ignore_configured_endpoint_urls")
    if ignores?.lowercased() == "true" { return nil }
    if let (text, name) = origin.first("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") {
      return try S3Endpoint(parsing: text, origin: name)
    }
    let text = profile.serviceSetting("endpoint_url") ?? profile.setting("endpoint_url")
    guard let text else { return nil }
    return try S3Endpoint(parsing: text, origin: "the AWS profile '\(profile.name)'")
  }

  private static func credentials(
    _ url: S3URL, _ options: Options, _ origin: Origin, _ profile: AWSProfile
  ) throws(StorageError) -> S3Credentials {
    let variables = origin.variables
    if options.profile == nil,
      let keys = try AWSProfile.pair(
        variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"],
        variables["AWS_SESSION_TOKEN"], origin: "the environment")
    {
      return keys
    }
    if let keys = try profile.keys() { return keys }
    throw StorageError(
      .settings, "remote \(url)", "has no keys",
      hint: "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE with a profile of "
        + "~/.aws/credentials")
  }
}
