#!/usr/bin/env python3
# Bind-mounts a folder in a mount namespace of one thread, prints "ready", and waits for the end of its
# input.
# Arguments: FOLDER MOUNT-POINT
import ctypes,os,sys,threading
ready=threading.Event(); c=ctypes.CDLL(None)
def work():
  c.unshare(0x20000); c.mount(b"none",b"/",None,0x44000,None)
  c.mount(sys.argv[1].encode(),sys.argv[2].encode(),None,4096,None)
  ready.set(); sys.stdin.read()
threading.Thread(target=work).start(); ready.wait(); print("ready",flush=True)
