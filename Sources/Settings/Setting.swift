// A value of the configuration, with the place that it comes from.

/// The place that a value comes from.
public enum SettingOrigin: Sendable, Equatable {
  /// The program itself.
  case builtIn
  case file(String, line: Int)
  /// A variable of the environment.
  case environment(String)
  /// An option of the command line.
  case option(String)

  /// The place as text: "/etc/imgstore/config.toml:3", "IMGSTORE_STORE", "--store", "default".
  public var text: String {
    switch self {
    case .builtIn: "default"
    case .file(let path, let line): "\(path):\(line)"
    case .environment(let name), .option(let name): name
    }
  }
}

/// A value with its origin.
public struct Setting<Value: Sendable>: Sendable {
  public let value: Value
  public let origin: SettingOrigin

  public init(_ value: Value, _ origin: SettingOrigin) {
    (self.value, self.origin) = (value, origin)
  }
}

extension Setting: Equatable where Value: Equatable {}

/// A value for people: its key, the value as TOML, and its origin.
public struct ListedSetting: Sendable, Equatable {
  /// The full key: `maintain.verify-time`, `image."compute*".schedule`.
  public let key: String
  /// The value as TOML.
  public let value: String
  public let origin: SettingOrigin

  public init(_ key: String, _ value: String, _ origin: SettingOrigin) {
    (self.key, self.value, self.origin) = (key, value, origin)
  }

  /// Creates the entry of a setting; nil if it is not set.
  init?<Value>(_ key: String, _ setting: Setting<Value>?, _ text: (Value) -> String) {
    guard let setting else { return nil }
    self.init(key, text(setting.value), setting.origin)
  }
}

/// Writes values as TOML.
public enum TOMLText {
  /// Returns a text as a basic string.
  public static func string(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case "\n": quoted += "\\n"
      case "\t": quoted += "\\t"
      case _ where scalar.value < 0x20 || scalar.value == 0x7f:
        let digits = String(scalar.value, radix: 16)
        quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }

  static func strings(_ list: [String]) -> String {
    "[" + list.map(string).joined(separator: ", ") + "]"
  }
}
