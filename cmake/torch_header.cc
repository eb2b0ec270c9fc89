// Empty: its target exists for the precompiled header of torch.
