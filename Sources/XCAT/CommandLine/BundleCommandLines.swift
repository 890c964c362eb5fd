// The command lines of xCAT's imgexport and imgimport (imgport.pm, `GetOptions`; man imgexport.1;
// docs/xcat-contract.md#command-line-parsing): arguments in, values out. Other code decides on files
// and tables.

/// The arguments of `imgexport`.
public struct ImgexportArguments: Sendable, Equatable {
  public var image: String
  public var destination: String?
  public var extras: [String] = []
  public var node: String?
  public var remoteHost: String?
  public var isVerbose = false
  /// Creates arguments with their defaults.
  public init(image: String) { self.image = image }
}

/// The arguments of `imgimport`.
public struct ImgimportArguments: Sendable, Equatable {
  public var bundle: String
  public var profile: String?
  public var nodes: String?
  public var remoteHost: String?
  public var keepsOriginals = false
  public var isVerbose = false
  /// Creates arguments with their defaults.
  public init(bundle: String) { self.bundle = bundle }
}

/// The result of parsing a command line.
public enum ParseResult<Arguments: Sendable>: Sendable {
  case run(Arguments)
  /// Print the help.
  case help
  /// Print the version.
  case version
  /// Too few arguments: print the usage and fail.
  case usage
  case invalid(String)
}

private enum BundleOption: Sendable {
  case help, verbose, remoteHost, postscripts, extra, profile, noZip, originals
}

/// The command `imgexport`.
public enum ImgexportCommandLine {
  /// The usage text, as xCAT prints it.
  public static let usage = """
    imgexport: Creates a tarball (bundle) of an existing xCAT image
    Usage: 
    \timgexport [-h|--help]
    \timgexport <image_name> [destination] [[-e|--extra <file:dir> ] ... ] \
    [-p|--postscripts <node_name>] [-R|--remotehost <userid@host>] [-v]
    """

  private static let rules: [OptionRule<BundleOption>] = [
    OptionRule(.help, "h", "?", "help"),
    OptionRule(.postscripts, "p", "postscripts", takesValue: true),
    OptionRule(.extra, "e", "extra", takesValue: true),
    OptionRule(.remoteHost, "R", "remotehost", takesValue: true),
    OptionRule(.verbose, "v", "verbose"),
  ]

  /// Parses the arguments.
  public static func read(_ arguments: [String]) -> ParseResult<ImgexportArguments> {
    if arguments.isEmpty { return .usage }
    let parsed: ParsedArguments<BundleOption>
    do { parsed = try parseArguments(arguments, rules) } catch { return .invalid(error.text) }
    if parsed.has(.help) { return .help }
    guard parsed.operands.count <= 2 else { return .invalid(tooMany(parsed.operands[2])) }
    var arguments = ImgexportArguments(image: parsed.operands.first ?? "")
    arguments.destination = parsed.operands.dropFirst().first
    arguments.extras = parsed.values(.extra)
    arguments.node = parsed.value(.postscripts)
    arguments.remoteHost = parsed.value(.remoteHost)
    arguments.isVerbose = parsed.has(.verbose)
    return .run(arguments)
  }

  /// Returns `NAME.tgz`, with blanks as underscores.
  public static func defaultName(of image: String) -> String { directoryName(of: image) + ".tgz" }

  /// Returns the image's name as the bundle's directory has it: each run of blanks is one underscore.
  public static func directoryName(of image: String) -> String {
    var name = ""
    for scalar in image.unicodeScalars {
      if !scalar.properties.isWhitespace {
        name.unicodeScalars.append(scalar)
      } else if !name.hasSuffix("_") {
        name += "_"
      }
    }
    return name
  }

  /// Returns the bundle's directory, with its slash, and its name: the parts before and after the last
  /// "/". An empty name is the default one. A destination without a directory has "./", and no
  /// destination has an empty directory.
  public static func destination(
    of destination: String?, image: String
  ) -> (directory: String, name: String) {
    guard let destination else { return ("", defaultName(of: image)) }
    let parts = split(destination)
    return (parts.directory, parts.name.isEmpty ? defaultName(of: image) : parts.name)
  }

  private static func split(_ path: String) -> (directory: String, name: String) {
    guard let slash = path.utf8.lastIndex(of: 0x2f) else { return ("./", path) }
    let after = path.utf8.index(after: slash)
    return (String(path[..<after]), String(path[after...]))
  }
}

/// The command `imgimport`.
public enum ImgimportCommandLine {
  /// The usage text, as xCAT prints it, with our additions.
  public static let usage = """
    imgimport: Takes in an xCAT image bundle and defines it to xCAT so you can use it
    Usage: 
    \timgimport [-h|--help]
    \timgimport <bundle_file_name> [-p|--postscripts <nodelist>] [-f|--profile <new_profile>] \
    [-R|--remotehost <userid@host>] [-n|--nozip] [-v]
    imgstore adds:
    \t[--orig]  keep each replaced file as FILE.ORIG next to the new one (a snapshot has it anyway)
    """

  private static let rules: [OptionRule<BundleOption>] = [
    OptionRule(.help, "h", "?", "help"),
    OptionRule(.verbose, "v", "verbose"),
    OptionRule(.remoteHost, "R", "remotehost", takesValue: true),
    OptionRule(.postscripts, "p", "postscripts", takesValue: true),
    OptionRule(.profile, "f", "profile", takesValue: true),
    OptionRule(.noZip, "n", "nozip"),
    OptionRule(.originals, "orig"),
  ]

  /// Parses the arguments.
  public static func read(_ arguments: [String]) -> ParseResult<ImgimportArguments> {
    if arguments.isEmpty { return .usage }
    let parsed: ParsedArguments<BundleOption>
    do { parsed = try parseArguments(arguments, rules) } catch { return .invalid(error.text) }
    if parsed.has(.help) { return .help }
    guard let bundle = parsed.operands.first else { return .usage }
    guard parsed.operands.count == 1 else { return .invalid(tooMany(parsed.operands[1])) }
    var arguments = ImgimportArguments(bundle: bundle)
    arguments.profile = parsed.value(.profile)
    arguments.nodes = parsed.value(.postscripts)
    arguments.remoteHost = parsed.value(.remoteHost)
    arguments.keepsOriginals = parsed.has(.originals)
    arguments.isVerbose = parsed.has(.verbose)
    return .run(arguments)
  }
}

private func tooMany(_ operand: String) -> String { "Unexpected argument: \(operand)" }

/// Splits `file[:dir]` at the first ":"; an empty directory is nil.
public func splitExtra(_ text: String) -> (file: String, directory: String?) {
  guard let colon = text.utf8.firstIndex(of: 0x3a) else { return (text, nil) }
  let directory = String(text[text.utf8.index(after: colon)...])
  return (String(text[..<colon]), directory.isEmpty ? nil : directory)
}
