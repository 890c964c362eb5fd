#!/usr/bin/env python3
# Makes the files that Confluent's imgutil writes (lenovo/confluent, imgutil/imgutil), from squashfs images.
#   encrypt IMAGE OUT KEYFILE          pack_image: an image encrypted as dm-crypt's aes-xts-plain64 does
#   capture OUT MOUNT=IMAGE …          capture_system_back: several file systems in one file
import ctypes, ctypes.util, json, os, struct, sys

ENCRYPTED = b'\xaa\xd5\x0f\x7e\x5d\xfb\x4b\x7c\xa1\x2a\xf4\x0b\x6d\x94\xf7\xfc\x14CONFLUENT_CRYPTIMAGE'
CAPTURED = b'\x63\x7b\x9d\x26\xb7\xfd\x48\x30\x89\xf9\x11\xcf\x18\xfd\xff\xa1\x0fCONFLUENT_IMAGE'

def encrypt(image, out, keyfile):
    crypto = ctypes.CDLL(ctypes.util.find_library('crypto'))
    crypto.EVP_CIPHER_CTX_new.restype = ctypes.c_void_p
    crypto.EVP_aes_128_xts.restype = ctypes.c_void_p
    context = ctypes.c_void_p(crypto.EVP_CIPHER_CTX_new())
    key = os.urandom(32)
    plain = open(image, 'rb').read()
    assert len(plain) % 512 == 0, 'mksquashfs pads its images'
    result = ctypes.create_string_buffer(512)
    count = ctypes.c_int()
    with open(out, 'wb') as f:
        f.write(ENCRYPTED.ljust(4096, b'\0'))
        for number in range(len(plain) // 512):
            crypto.EVP_EncryptInit_ex(context, ctypes.c_void_p(crypto.EVP_aes_128_xts()), None, key, struct.pack('<QQ', number, 0))
            crypto.EVP_EncryptUpdate(context, result, ctypes.byref(count), plain[512 * number:512 * (number + 1)], 512)
            f.write(result.raw)
    with open(keyfile, 'w') as f: f.write(f'aes-xts-plain64\n{key.hex()}\n')

def capture(out, parts):
    with open(out, 'wb') as f:
        f.write(CAPTURED)
        for part in parts:
            mount, image = part.split('=')
            facts = json.dumps({'mount': mount, 'filesystem': 'xfs', 'device': '/dev/sda1'}).encode()
            data = open(image, 'rb').read()
            f.write(struct.pack('!H', len(mount)) + mount.encode() + struct.pack('!I', len(facts)) + facts)
            f.write(struct.pack('!QQ', 1, 2) + struct.pack('!H', 3) + b'xfs' + struct.pack('!H', 9) + b'/dev/sda1')
            pad = 4096 - ((f.tell() + 10) % 4096)
            f.write(struct.pack('!H', pad) + b'\0' * pad + struct.pack('!Q', len(data)) + data)
            pad = 4096 - (f.tell() % 4096)
            if pad < 4096: f.write(b'\0' * pad)

if sys.argv[1] == 'encrypt': encrypt(*sys.argv[2:])
else: capture(sys.argv[2], sys.argv[3:])
