// One profile of the files ~/.aws/config and ~/.aws/credentials, as the AWS CLI finds them ("Configuration and
// credential file settings in the AWS CLI").

import ObjectStorage
import Platform

/// The settings of a profile, from both files.
struct AWSProfile {
  let name: String
  private let configPath: String
  private let credentialsPath: String
  private let config: [String: String]
  private let credentials: [String: String]
  private let nested: [String: [String: String]]
  private let services: [String: [String: String]]

  /// Reads the files. One that does not exist is empty.
  /// - Parameter requested: the profile that the caller names; nil for that of the environment.
  /// - Throws: `StorageError` of kind settings for invalid files, and for a named profile that neither file has;
  ///   `system`.
  init(
    _ requested: String?, environment: [String: String], home: String?,
    fileSystem: any FileSystem
  ) throws(StorageError) {
    func value(_ name: String) -> String? {
      environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }
    let named = requested ?? value("AWS_PROFILE") ?? value("AWS_DEFAULT_PROFILE")
    name = named ?? "default"
    func path(_ variable: String, _ file: String) -> String? {
      guard let text = value(variable) else { return home.map { "\($0)/.aws/\(file)" } }
      guard text.hasPrefix("~/"), let home else { return text }
      return home + text.dropFirst()
    }
    let configPath = path("AWS_CONFIG_FILE", "config")
    let credentialsPath = path("AWS_SHARED_CREDENTIALS_FILE", "credentials")
    let configFile = try AWSProfile.read(configPath, fileSystem)
    let credentialsFile = try AWSProfile.read(credentialsPath, fileSystem)
    let section =
      name == "default" && configFile?.sections["profile default"] == nil
      ? "default" : "profile \(name)"
    if let named, configFile?.sections[section] == nil, credentialsFile?.sections[named] == nil {
      throw StorageError(
        .settings, "the AWS profile '\(printable(named.utf8))'", "does not exist",
        hint: "Add it with 'aws configure --profile NAME', or correct AWS_PROFILE")
    }
    config = configFile?.sections[section] ?? [:]
    nested = configFile?.nested[section] ?? [:]
    services = config["services"].flatMap { configFile?.nested["services \($0)"] } ?? [:]
    credentials = credentialsFile?.sections[name] ?? [:]
    self.configPath = configPath ?? ""
    self.credentialsPath = credentialsPath ?? ""
  }

  private static func read(
    _ path: String?, _ fileSystem: any FileSystem
  ) throws(StorageError) -> INIFile? {
    guard let path else { return nil }
    let bytes: [UInt8]
    do throws(SystemError) {
      bytes = try fileSystem.readSmallFile(
        at: fileSystem.workingDirectory, Array(path.utf8), limitBytes: INIFile.maxBytes)
    } catch {
      if error.isAbsent { return nil }
      throw StorageError(.system(error), path, error.reason, hint: error.hint)
    }
    return try INIFile(parsing: bytes, path: path)
  }

  /// Returns a value of the config file; nil if it is empty.
  func setting(_ key: String) -> String? { config[key].flatMap { $0.isEmpty ? nil : $0 } }

  /// Returns a value below `s3 =` of the config file.
  func s3Setting(_ key: String) -> String? { nested["s3"]?[key] }

  /// Returns a value below `s3 =` of the section that `services` names.
  func serviceSetting(_ key: String) -> String? { services["s3"]?[key] }

  /// Returns the keys of the profile; nil if it has none. Those of the credentials file are preferred.
  /// - Throws: `StorageError` of kind settings for half a pair, or for a kind of login that is not supported.
  func keys() throws(StorageError) -> S3Credentials? {
    for (values, path) in [(credentials, credentialsPath), (config, configPath)] {
      let origin = "profile \(name) of \(path)"
      if let keys = try AWSProfile.pair(
        values["aws_access_key_id"], values["aws_secret_access_key"],
        values["aws_session_token"], origin: origin)
      {
        return keys
      }
    }
    let logins = [
      "role_arn", "sso_session", "sso_account_id", "credential_process",
      "web_identity_token_file", "login_session",
    ]
    guard let login = logins.first(where: { config[$0] != nil || credentials[$0] != nil }) else {
      return nil
    }
    throw StorageError(
      .settings, "the AWS profile '\(printable(name.utf8))'",
      "gets its keys by '\(login)', which imgstore does not support",
      hint:
        "Run 'aws configure export-credentials --format env', and set the variables that it prints")
  }

  /// Returns keys from two texts and a token; nil if both texts are absent.
  /// - Throws: `StorageError` of kind settings if only one is there.
  static func pair(
    _ id: String?, _ secret: String?, _ token: String?, origin: String
  ) throws(StorageError) -> S3Credentials? {
    func usable(_ text: String?) -> String? {
      text.flatMap { text in
        text.isEmpty || !text.utf8.allSatisfy { (0x21...0x7e).contains($0) } ? nil : text
      }
    }
    if (id ?? "").isEmpty && (secret ?? "").isEmpty { return nil }
    guard let id = usable(id), let secret = usable(secret),
      (token ?? "").isEmpty || usable(token) != nil
    else {
      throw StorageError(
        .settings, "the S3 keys of \(origin)",
        "are incomplete or contain blanks",
        hint: "Set both the access key id and the secret access key")
    }
    return S3Credentials(
      accessKeyID: id, secretAccessKey: secret, sessionToken: usable(token), origin: origin)
  }
}
