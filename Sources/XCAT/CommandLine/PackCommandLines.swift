// The command lines of xCAT's packimage and liteimg (packimage.pm, statelite.pm, `GetOptions`; man
// packimage.1, liteimg.1; docs/xcat-contract.md#command-line-parsing): arguments in, values out.

/// The arguments of `packimage`.
public struct PackimageArguments: Sendable, Equatable {
  public var image: String
  /// "cpio", "tar" or "squashfs".
  public var method = "cpio"
  /// "gzip", "pigz", "xz", or our own "zstd"; nil for the best one.
  public var compressor: String?
  public var skipsSyncfiles = false
  /// The tracker of a torrent, which nodes no longer use.
  public var tracker: String?
  /// Creates arguments with their defaults.
  public init(image: String) { self.image = image }
}

/// The arguments of `liteimg`.
public struct LiteimgArguments: Sendable, Equatable {
  public var image: String
  public var rootFileSystem: String?
  public var isVerbose = false
  /// Creates arguments with their defaults.
  public init(image: String) { self.image = image }
}

private enum PackOption: Sendable {
  case help, version, verbose, method, compressor, tracker, noSyncfiles, rootFileSystem
  case profile, architecture, osVersion
}

/// The command `packimage`.
public enum PackimageCommandLine {
  /// The usage text, as xCAT prints it, with our additions.
  public static let usage = """
    Usage:
       packimage [-m| --method=cpio|tar|squashfs] [-c| --compress=gzip|pigz|xz|zstd] \
    [--nosyncfiles] <imagename>
       packimage [-h| --help]
       packimage [-v| --version]
    """

  /// The valid archive methods.
  public static let methods = ["cpio", "tar", "squashfs"]
  /// The valid compression methods.
  public static let compressors = ["gzip", "pigz", "xz", "zstd"]

  private static let rules: [OptionRule<PackOption>] = [
    OptionRule(.profile, "p", "profile", takesValue: true),
    OptionRule(.architecture, "a", "arch", takesValue: true),
    OptionRule(.osVersion, "o", "osver", takesValue: true),
    OptionRule(.method, "m", "method", takesValue: true),
    OptionRule(.compressor, "c", "compress", takesValue: true),
    OptionRule(.tracker, "tracker", takesValue: true),
    OptionRule(.noSyncfiles, "nosyncfiles"),
    OptionRule(.help, "h", "help"),
    OptionRule(.version, "v", "version"),
  ]

  /// Parses the arguments.
  public static func read(_ arguments: [String]) -> ParseResult<PackimageArguments> {
    if arguments.isEmpty { return .help }
    let parsed: ParsedArguments<PackOption>
    do { parsed = try parseArguments(arguments, rules) } catch { return .invalid(error.text) }
    if parsed.has(.profile) || parsed.has(.architecture) || parsed.has(.osVersion) {
      return .invalid(
        "-o, -p and -a options are obsoleted, please use 'packimage <osimage name>' instead.")
    }
    if parsed.has(.version) { return .version }
    if parsed.has(.help) { return .help }
    guard let image = parsed.operands.first else {
      return .invalid("An image name is required, use 'packimage <osimage name>'.")
    }
    guard parsed.operands.count == 1 else {
      return .invalid("Unexpected argument: \(parsed.operands[1])")
    }
    var arguments = PackimageArguments(image: image)
    arguments.method = parsed.value(.method) ?? "cpio"
    arguments.compressor = parsed.value(.compressor)
    arguments.skipsSyncfiles = parsed.has(.noSyncfiles)
    arguments.tracker = parsed.value(.tracker)
    if let compressor = arguments.compressor, !compressors.contains(compressor) {
      return .invalid("Invalid compress method '\(compressor)' requested")
    }
    guard methods.contains(arguments.method) else {
      return .invalid("Invalid archive method '\(arguments.method)' requested")
    }
    return .run(arguments)
  }
}

/// The command `liteimg`.
public enum LiteimgCommandLine {
  /// The usage text, as xCAT prints it, without obsolete forms.
  public static let usage = """
    liteimg -h # this help message
    liteimg -v # version
    liteimg -V # verbose
    liteimg imagename
    """

  private static let rules: [OptionRule<PackOption>] = [
    OptionRule(.rootFileSystem, "t", "rootfstype", takesValue: true),
    OptionRule(.profile, "p", "profile", takesValue: true),
    OptionRule(.architecture, "a", "arch", takesValue: true),
    OptionRule(.osVersion, "o", "osver", takesValue: true),
    OptionRule(.help, "h", "help"),
    OptionRule(.tracker, "tracker"),
    OptionRule(.version, "v", "version"),
    OptionRule(.verbose, "V", "verbose"),
  ]

  /// Parses the arguments.
  public static func read(_ arguments: [String]) -> ParseResult<LiteimgArguments> {
    if arguments.isEmpty { return .help }
    let parsed: ParsedArguments<PackOption>
    do { parsed = try parseArguments(arguments, rules) } catch { return .invalid(error.text) }
    if parsed.has(.version) { return .version }
    if parsed.has(.help) { return .help }
    let hasOld = parsed.has(.profile) || parsed.has(.architecture) || parsed.has(.osVersion)
    guard let image = parsed.operands.first else {
      return .invalid(
        hasOld
          ? "-o, -p and -a do not define an image: define it first, and give its name."
          : "An image name is required, use 'liteimg <osimage name>'.")
    }
    if hasOld {
      return .invalid("-o, -p and -a options are not allowed when a image name is specified.")
    }
    guard parsed.operands.count == 1 else {
      return .invalid("Unexpected argument: \(parsed.operands[1])")
    }
    var arguments = LiteimgArguments(image: image)
    arguments.rootFileSystem = parsed.value(.rootFileSystem)
    arguments.isVerbose = parsed.has(.verbose)
    return .run(arguments)
  }
}
