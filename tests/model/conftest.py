from hypothesis import settings

settings.register_profile("model", deadline=None, print_blob=True)
settings.load_profile("model")
