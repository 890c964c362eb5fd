// The operating system and processor of an image, in the words of Go (OCI image specification, "Image
// Index"): linux/amd64, linux/arm64/v8.

import Glibc

/// A platform.
public struct OCIPlatform: Sendable, Equatable, CustomStringConvertible {
  public let system: String
  public let architecture: String
  /// The variant, such as "v8"; empty if there is none.
  public let variant: String

  /// Creates a platform.
  public init(system: String = "linux", architecture: String, variant: String = "") {
    self.system = system
    self.architecture = architecture
    self.variant = variant
  }

  /// Parses `OS/ARCH` or `OS/ARCH/VARIANT`. Returns nil for any other text.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2 || parts.count == 3,
      parts.allSatisfy({ part in
        !part.isEmpty && part.utf8.count <= 64
          && part.unicodeScalars.allSatisfy {
            $0.isASCII
              && ($0.properties.isAlphabetic || "0123456789_.-".unicodeScalars.contains($0))
          }
      })
    else { return nil }
    self.init(
      system: String(parts[0]), architecture: OCIPlatform.goName(String(parts[1])),
      variant: parts.count == 3 ? String(parts[2]) : "")
  }

  /// Reads the platform of a descriptor; nil if the object has none.
  init?(_ json: ParsedJSON) {
    guard let system = json["os"]?.text, let architecture = json["architecture"]?.text else {
      return nil
    }
    self.init(
      system: system, architecture: architecture, variant: json["variant"]?.text ?? "")
  }

  /// Returns Go's name of a processor for the name of uname(1) or of Debian.
  public static func goName(_ machine: String) -> String {
    switch machine {
    case "x86_64": "amd64"
    case "aarch64": "arm64"
    case "i386", "i486", "i586", "i686": "386"
    case "armv7l", "armhf": "arm"
    case "ppc64el": "ppc64le"
    default: machine
    }
  }

  /// Returns whether an image for this platform runs where `other` is asked for. A variant matters only if
  /// both have one.
  public func matches(_ other: OCIPlatform) -> Bool {
    system == other.system && architecture == other.architecture
      && (variant.isEmpty || other.variant.isEmpty || variant == other.variant)
  }

  public var description: String {
    "\(system)/\(architecture)" + (variant.isEmpty ? "" : "/\(variant)")
  }

  var json: ParsedJSON {
    .object(
      [
        .init("architecture", .string(architecture)), .init("os", .string(system)),
      ] + (variant.isEmpty ? [] : [.init("variant", .string(variant))]))
  }
}

extension OCIPlatform {
  /// The platform of this machine.
  public static var machine: OCIPlatform {
    var name = utsname()
    guard uname(&name) == 0 else { return OCIPlatform(architecture: "unknown") }
    let text = withUnsafeBytes(of: name.machine) {
      String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }
    return OCIPlatform(architecture: goName(text))
  }
}
