// How nodes get an image: osimage.provmethod (docs/xcat-contract.md#image-kinds).

/// The provisioning method of an image.
public enum ProvisioningMethod: Hashable, Sendable, CaseIterable {
  /// Nodes load a packed image into memory.
  case netboot
  /// Nodes mount the root tree, or load it into memory with writable files elsewhere.
  case statelite
  /// Nodes install packages.
  case install
  /// Nodes install a copy of another node's disk.
  case sysclone
  /// Nodes write a disk image.
  case raw
  /// Nodes boot kernel and ramdisk of a row of the table boottarget.
  case boottarget
  /// Another value, which xCAT does not know; empty if the column is unset.
  case other(String)

  public static let allCases: [ProvisioningMethod] = [
    .netboot, .statelite, .install, .sysclone, .raw, .boottarget,
  ]

  /// Reads a value of the column.
  public init(_ text: String) {
    self = ProvisioningMethod.allCases.first { $0.text == text } ?? .other(text)
  }

  /// The value of the column.
  public var text: String {
    switch self {
    case .netboot: "netboot"
    case .statelite: "statelite"
    case .install: "install"
    case .sysclone: "sysclone"
    case .raw: "raw"
    case .boottarget: "boottarget"
    case .other(let text): text
    }
  }

  /// Whether genimage makes the image's files, in a directory of the image.
  public var isDiskless: Bool { self == .netboot || self == .statelite }

  /// Whether the value contains a method's name: some of xCAT's tools search for it.
  public func mentions(_ method: ProvisioningMethod) -> Bool { text.contains(method.text) }
}
