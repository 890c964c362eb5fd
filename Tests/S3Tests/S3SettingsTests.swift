// Settings from URLs, variables and files: what counts, and what is refused.

import ObjectStorage
import Platform
import S3
import TestSupport
import Testing

@Suite struct S3SettingsTests {
  /// A home directory with files of AWS tools.
  private struct Home {
    let directory: TemporaryDirectory
    var variables: [String: String] = [:]

    init(config: String? = nil, credentials: String? = nil) throws {
      directory = try TemporaryDirectory()
      let system = KernelFileSystem.shared
      try system.makeDirectory(
        at: system.workingDirectory, Array(directory.path(".aws").utf8), mode: 0o700)
      for (name, text) in [("config", config), ("credentials", credentials)] {
        guard let text else { continue }
        let file = try system.openFile(
          at: system.workingDirectory, Array(directory.path(".aws/\(name)").utf8),
          [.write, .create])
        try system.write(file.raw, Array(text.utf8))
      }
    }

    func find(
      _ url: String = "s3://bucket/p", _ change: (inout S3Settings.Options) -> Void = { _ in }
    ) throws -> S3Settings {
      var options = S3Settings.Options()
      change(&options)
      return try S3Settings.find(
        try S3URL(parsing: url), options: options,
        origin: S3Settings.Origin(variables: variables, home: directory.path))
    }
  }

  /// Returns the access key id, as the signature shows it.
  private func keyID(_ settings: S3Settings) -> String {
    let request = RequestSigner.Request("GET", path: "/", host: "h", bodyHash: "")
    let text = RequestSigner(settings.credentials, region: "r").headers(for: request, at: 0)
      .first { $0.name == "authorization" }?.value
    return text?.split(separator: "=").dropFirst().first?.split(separator: "/").first
      .map(String.init) ?? ""
  }

  private func token(_ settings: S3Settings) -> String? {
    let request = RequestSigner.Request("GET", path: "/", host: "h", bodyHash: "")
    return RequestSigner(settings.credentials, region: "r").headers(for: request, at: 0)
      .first { $0.name == "x-amz-security-token" }?.value
  }

  private static let config = """
    # a comment
    [default]
    region = eu-west-1
    aws_access_key_id = config-default
    aws_secret_access_key = s

    [profile site]
    region=us-west-2
    endpoint_url = https://s3.site.example:8443/
    ca_bundle = /etc/site.pem
    services = ours
    s3 =
      addressing_style = virtual
      max_concurrent_requests = 20
    ; another comment
    [profile "two words"]
    aws_access_key_id = config-words
    aws_secret_access_key = s
    [services ours]
    dynamodb =
      endpoint_url = http://localhost:1
    s3 =
      endpoint_url = http://localhost:7480
    """

  private static let credentials = """
    [default]
    aws_access_key_id = file-default
    aws_secret_access_key = s3cr3t/+=
    [site]
    aws_access_key_id = file-site
    aws_secret_access_key = s
    aws_session_token = file-token
    """

  private func home() throws -> Home {
    try Home(config: S3SettingsTests.config, credentials: S3SettingsTests.credentials)
  }

  @Test func `keys come from the environment, then the credentials file, then the config file`()
    throws
  {
    var home = try home()
    #expect(keyID(try home.find()) == "file-default")
    home.variables = ["AWS_PROFILE": "site"]
    #expect(keyID(try home.find()) == "file-site")
    #expect(token(try home.find()) == "file-token")
    home.variables["AWS_PROFILE"] = "two words"
    #expect(keyID(try home.find()) == "config-words")
    home.variables["AWS_ACCESS_KEY_ID"] = "env"
    home.variables["AWS_SECRET_ACCESS_KEY"] = "s"
    #expect(keyID(try home.find()) == "env")
    #expect(token(try home.find()) == nil)
    home.variables["AWS_SESSION_TOKEN"] = "env-token"
    #expect(token(try home.find()) == "env-token")
    // A profile that the remote names precedes variables.
    #expect(keyID(try home.find { $0.profile = "site" }) == "file-site")
  }

  @Test func `region and endpoint come from options, then variables, then the profile`() throws {
    var home = try home()
    #expect(try home.find().region == "eu-west-1")
    #expect(try home.find().endpoint.description == "https://s3.eu-west-1.amazonaws.com")
    #expect(try home.find().addressing == .virtual)
    #expect(try home.find("s3://with.dots").addressing == .path)
    home.variables["AWS_PROFILE"] = "site"
    #expect(try home.find().region == "us-west-2")
    #expect(try home.find().endpoint.description == "http://localhost:7480")
    #expect(try home.find().addressing == .virtual)
    #expect(try home.find().caBundle == "/etc/site.pem")
    home.variables["AWS_DEFAULT_REGION"] = "a-1"
    home.variables["AWS_ENDPOINT_URL"] = "http://general"
    home.variables["AWS_CA_BUNDLE"] = "/etc/env.pem"
    #expect(try home.find().region == "a-1")
    #expect(try home.find().endpoint.description == "http://general")
    #expect(try home.find().caBundle == "/etc/env.pem")
    home.variables["AWS_REGION"] = "b-1"
    home.variables["AWS_ENDPOINT_URL_S3"] = "http://special:80/base/"
    #expect(try home.find().region == "b-1")
    #expect(try home.find().endpoint.description == "http://special/base")
    let settings = try home.find {
      $0.region = "c-1"
      $0.endpoint = "https://option"
      $0.addressing = .path
    }
    #expect(settings.region == "c-1" && settings.endpoint.description == "https://option")
    #expect(settings.addressing == .path)
    home.variables["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] = "true"
    #expect(try home.find().endpoint.description == "https://s3.b-1.amazonaws.com")
  }

  @Test func `variables move the files, and empty variables are not set`() throws {
    var home = try home()
    home.variables = ["AWS_ACCESS_KEY_ID": "", "AWS_REGION": "", "AWS_PROFILE": ""]
    #expect(keyID(try home.find()) == "file-default")
    #expect(try home.find().region == "eu-west-1")
    let other = try Home(config: "[default]\nregion=x-9\n")
    home.variables = [
      "AWS_CONFIG_FILE": other.directory.path(".aws/config"),
      "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
    ]
    #expect(try home.find().region == "x-9")
    #expect(keyID(try home.find()) == "file-default")
  }

  @Test(arguments: [
    ("[default]\nregion\n", 2), ("region = x\n", 1), ("[default\n", 1), ("[]\n", 1),
    ("[default]\na=1\na=2\n", 3), ("[a]\n[a]\n", 2), ("  x = 1\n", 1),
  ])
  func `an invalid file is named with its line, and without its content`(
    _ text: String, _ line: Int
  ) throws {
    let home = try Home(config: text, credentials: S3SettingsTests.credentials)
    let error = #expect(throws: StorageError.self) { try home.find() }
    #expect(error?.kind == .settings)
    #expect(error?.subject.hasSuffix(".aws/config:\(line)") == true)
  }

  @Test func `a large or binary file is refused`() throws {
    for text in [String(repeating: "#\n", count: 30_000), "[default]\nx=\u{0}"] {
      let home = try Home(config: text + "\u{0}=")
      #expect(throws: StorageError.self) { try home.find() }
    }
  }

  @Test func `missing, incomplete and unsupported keys are errors`() throws {
    func kind(_ home: Home) -> StorageError? {
      #expect(throws: StorageError.self) { try home.find() }
    }
    var none = try Home()
    #expect(kind(none)?.kind == .settings)
    none.variables = ["AWS_ACCESS_KEY_ID": "id"]
    #expect(kind(none)?.kind == .settings)
    none.variables = ["AWS_ACCESS_KEY_ID": "id\n", "AWS_SECRET_ACCESS_KEY": "s"]
    #expect(kind(none)?.kind == .settings)
    none.variables = ["AWS_PROFILE": "missing"]
    #expect(kind(none)?.message.contains("missing") == true)
    let role = try Home(config: "[default]\nrole_arn = arn:aws:iam::1:role/x\n")
    #expect(kind(role)?.hint.contains("export-credentials") == true)
    let half = try Home(credentials: "[default]\naws_secret_access_key = TOP-SECRET\n")
    #expect(kind(half)?.messageWithHint.contains("TOP-SECRET") == false)
  }

  @Test(arguments: [
    ("http://proxy:3128", "proxy", 3128), ("proxy:1", "proxy", 1), ("http://proxy/", "proxy", 80),
    ("http://u:p%40@[::1]:8080", "::1", 8080),
  ])
  func `a proxy is read from the environment`(_ text: String, _ host: String, _ port: Int) throws {
    var home = try home()
    home.variables["HTTPS_PROXY"] = text
    #expect(try home.find().proxy?.host == host)
    #expect(try home.find().proxy?.port == port)
    #expect(try home.find { $0.endpoint = "http://plain" }.proxy == nil)
    home.variables["NO_PROXY"] = "other, .amazonaws.com"
    #expect(try home.find().proxy == nil)
    home.variables["no_proxy"] = "none"
    #expect(try home.find().proxy?.host == host)
    home.variables["https_proxy"] = "socks5://hunter2@x"
    let error = #expect(throws: StorageError.self) { try home.find() }
    #expect(error?.messageWithHint.contains("hunter2") == false)
  }

  @Test(arguments: [
    "s3:/bucket", "http://bucket", "s3://", "s3://ab", "s3://user:KEY@bucket/x",
    "s3://bucket?x=KEY",
    "s3://bucket//x", "s3://bucket/a/../b", "s3://bucket/a b", "s3://-bucket", "s3://bu..cket",
    "s3://bucket/\u{e9}",
  ])
  func `an invalid URL is refused, and not repeated`(_ text: String) {
    let error = #expect(throws: StorageError.self) { try S3URL(parsing: text) }
    #expect(error?.kind == .settings)
    #expect(error?.messageWithHint.contains("KEY") == false)
  }

  @Test(arguments: [
    ("s3://bucket", "bucket", ""), ("s3://bucket/", "bucket", ""),
    ("s3://bucket/a/b/", "bucket", "a/b"), ("s3://a.b-c/d", "a.b-c", "d"),
  ])
  func `a URL has a bucket and a prefix`(_ text: String, _ bucket: String, _ prefix: String) throws
  {
    let url = try S3URL(parsing: text)
    #expect(url.bucket == bucket && url.prefix == prefix)
  }

  @Test(arguments: [
    "ftp://x", "https://", "https://user:KEY@x", "https://x:0", "https://x:70000", "https://x/a//b",
    "https://x?KEY", "https://[::1", "https://a b", "https://[x]/",
  ])
  func `an invalid endpoint is refused, and not repeated`(_ text: String) {
    let error = #expect(throws: StorageError.self) {
      try S3Endpoint(parsing: text, origin: "a test")
    }
    #expect(error?.kind == .settings)
    #expect(error?.messageWithHint.contains("KEY") == false)
  }
}
