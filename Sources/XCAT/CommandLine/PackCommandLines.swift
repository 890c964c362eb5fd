// The command lines of xCAT's packimage and liteimg (packimage.pm, statelite.pm, `GetOptions`; man
// packimage.1, liteimg.1): arguments in, values out.

/// What `packimage` was asked for.
public struct PackimageArguments: Sendable, Equatable {
  public var image: String
  /// "cpio", "tar", "squashfs".
  public var method = "cpio"
  /// "gzip", "pigz", "xz", and ours "zstd"; nil for what is best.
  public var compressor: String?
  public var skipsSyncfiles = false
  /// For a torrent that nodes no longer use.
  public var tracker: String?
  public init(image: String) { self.image = image }
}

/// What `liteimg` was asked for.
public struct LiteimgArguments: Sendable, Equatable {
  public var image: String
  public var rootFileSystem: String?
  public var isVerbose = false
  public init(image: String) { self.image = image }
}

private enum PackOption: Sendable {
  case help, version, verbose, method, compressor, tracker, noSyncfiles, rootFileSystem
  case profile, architecture, osVersion
}

/// The name `packimage`.
public enum Packimage {
  /// As xCAT prints it, and what is ours.
  public static let usage = """
    Usage:
       packimage [-m| --method=cpio|tar|squashfs] [-c| --compress=gzip|pigz|xz|zstd] \
    [--nosyncfiles] <imagename>
       packimage [-h| --help]
       packimage [-v| --version]
    """

  public static let methods = ["cpio", "tar", "squashfs"]
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

  public static func read(_ arguments: [String]) -> ParseResult<PackimageArguments> {
    if arguments.isEmpty { return .help }
    let parsed: ParsedArguments<PackOption>
    do { parsed = try parseArguments(arguments, rules) } catch { return .mistake(error.text) }
    if parsed.has(.profile) || parsed.has(.architecture) || parsed.has(.osVersion) {
      return .mistake(
        "-o, -p and -a options are obsoleted, please use 'packimage <osimage name>' instead.")
    }
    if parsed.has(.version) { return .version }
    if parsed.has(.help) { return .help }
    guard let image = parsed.operands.first else {
      return .mistake("An image name is required, use 'packimage <osimage name>'.")
    }
    guard parsed.operands.count == 1 else {
      return .mistake("Unexpected argument: \(parsed.operands[1])")
    }
    var arguments = PackimageArguments(image: image)
    arguments.method = parsed.value(.method) ?? "cpio"
    arguments.compressor = parsed.value(.compressor)
    arguments.skipsSyncfiles = parsed.has(.noSyncfiles)
    arguments.tracker = parsed.value(.tracker)
    if let compressor = arguments.compressor, !compressors.contains(compressor) {
      return .mistake("Invalid compress method '\(compressor)' requested")
    }
    guard methods.contains(arguments.method) else {
      return .mistake("Invalid archive method '\(arguments.method)' requested")
    }
    return .run(arguments)
  }
}

/// The name `liteimg`.
public enum Liteimg {
  /// As xCAT prints it, without what it no longer does.
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

  public static func read(_ arguments: [String]) -> ParseResult<LiteimgArguments> {
    if arguments.isEmpty { return .help }
    let parsed: ParsedArguments<PackOption>
    do { parsed = try parseArguments(arguments, rules) } catch { return .mistake(error.text) }
    if parsed.has(.version) { return .version }
    if parsed.has(.help) { return .help }
    let hasOld = parsed.has(.profile) || parsed.has(.architecture) || parsed.has(.osVersion)
    guard let image = parsed.operands.first else {
      return .mistake(
        hasOld
          ? "-o, -p and -a make no image: define it, and give its name."
          : "An image name is required, use 'liteimg <osimage name>'.")
    }
    if hasOld {
      return .mistake("-o, -p and -a options are not allowed when a image name is specified.")
    }
    guard parsed.operands.count == 1 else {
      return .mistake("Unexpected argument: \(parsed.operands[1])")
    }
    var arguments = LiteimgArguments(image: image)
    arguments.rootFileSystem = parsed.value(.rootFileSystem)
    arguments.isVerbose = parsed.has(.verbose)
    return .run(arguments)
  }
}
